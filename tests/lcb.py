"""Problems and programs in LiveCodeBench's format, made for the tests."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple


def packed(value: object) -> str:
    """As the data set packs private tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def row(
    number: int, *, function: str = "", private: str | None = None, **more: Any
) -> dict[str, Any]:
    """A problem: the sum of integers that are written one a line, or of a list."""
    kind = "functional" if function else "stdin"

    def tests(*lists: list[int]) -> list[dict[str, str]]:
        typed = [json.dumps(x) if function else "\n".join(map(str, x)) + "\n" for x in lists]
        return [
            {"input": given, "output": f"{sum(x)}", "testtype": kind}
            for given, x in zip(typed, lists, strict=True)
        ]

    hidden = json.dumps(tests([number, 5, -2], list(range(number + 1))))
    starter = f"class Solution:\n    def {function}(self, xs: List[int]) -> int:\n        "
    return {
        "question_title": f"Sums {number}",
        "question_content": f"Add the integers. Variant {number}.",
        "platform": "leetcode" if function else "atcoder",
        "question_id": f"made_{number}",
        "contest_id": "made",
        "contest_date": f"2024-{8 + number % 4:02}-{1 + number % 28:02}T00:00:00",
        "starter_code": starter if function else "",
        "difficulty": ("easy", "medium", "hard")[number % 3],
        "public_test_cases": json.dumps(tests([1, 2])),
        "private_test_cases": packed(hidden) if private is None else private,
        "metadata": json.dumps({"func_name": function} if function else {}),
        **more,
    }


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


class Program(NamedTuple):
    """A program for these problems, and what becomes of it: with us, and with upstream."""

    name: str
    code: str
    ours: str = "passed"
    upstream: bool | None = None  # None: as ours
    function: bool = False

    @property
    def passes_upstream(self) -> bool:
        return self.ours == "passed" if self.upstream is None else self.upstream


def method(body: str, head: str = "") -> str:
    return f"{head}class Solution:\n    def total(self, xs: List[int]) -> int:\n        {body}\n"


READING = [
    Program("input", "t = 0\ntry:\n    while True:\n        t += int(input())\nexcept EOFError:\n    print(t)"),
    Program("read", "import sys\nprint(sum(map(int, sys.stdin.read().split())))"),
    Program("readline", "import sys\nt = 0\nline = sys.stdin.readline()\nwhile line:\n    t += int(line)\n"
            "    line = sys.stdin.readline()\nprint(t)"),
    Program("readlines", "import sys\nprint(sum(int(x) for x in sys.stdin.readlines() if x.strip()))"),
    Program("buffer.read", "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))"),
    Program("sys.exit", "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nsys.exit(0)"),
    Program("guard at the end", "import sys\ndef main():\n    print(sum(map(int, sys.stdin.read().split())))\n"
            "if __name__ == '__main__':\n    main()"),
    Program("stdout.write", "import sys\nsys.stdout.write(str(sum(map(int, sys.stdin.read().split()))) + '\\n')"),
    # Right as well, and refused upstream: the eight that are known.
    Program("for line in stdin", "import sys\nprint(sum(int(line) for line in sys.stdin))", upstream=False),
    Program("readline, read", "import sys\nx = int(sys.stdin.readline())\n"
            "print(x + sum(map(int, sys.stdin.read().split())))", upstream=False),
    Program("buffer.readline", "import sys\nread = sys.stdin.buffer.readline\nt, line = 0, read()\n"
            "for _ in range(99):\n    if not line: break\n    t, line = t + int(line), read()\nprint(t)", upstream=False),
    Program("buffer.readlines", "import sys\nprint(sum(map(int, sys.stdin.buffer.readlines())))", upstream=False),
    Program("stdout.buffer", "import sys\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, sys.stdin.read().split())))",
            upstream=False),
    Program("global", "import sys\nt = 0\ndef add(x):\n    global t\n    t += x\n"
            "for x in sys.stdin.read().split():\n    add(int(x))\nprint(t)", upstream=False),
    Program("guard in the middle", "import sys\ndef main():\n    print(sum(map(int, sys.stdin.read().split())))\n"
            "if __name__ == '__main__':\n    main()\nnames = []", upstream=False),
    Program("os._exit", "import os, sys\nprint(sum(map(int, sys.stdin.read().split())), flush=True)\nos._exit(0)",
            upstream=False),
]  # fmt: skip
"""Right ways to read and write; of these, the last eight are refused upstream."""
OTHERS = [
    Program("open(0)", "print(sum(map(int, open(0).read().split())))", upstream=False),
    Program("quit", "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nquit()", upstream=False),
    Program("threads", "import sys, threading\ndef main():\n    print(sum(map(int, sys.stdin.read().split())))\n"
            "threading.stack_size(1 << 26)\nt = threading.Thread(target=main)\nt.start()\nt.join()"),
    Program("recursion", "import sys\nsys.setrecursionlimit(10**6)\nxs = list(map(int, sys.stdin.read().split()))\n"
            "def f(i):\n    return xs[i] + f(i + 1) if i < len(xs) else 0\nprint(f(0))"),
    Program("star imports", "from sys import *\nfrom math import *\nprint(sum(map(int, stdin.read().split())))"),
    Program("numpy", "import sys\nimport numpy as np\nprint(np.array(sys.stdin.read().split(), int).sum())"),
    Program("trailing spaces", "import sys\nprint(sum(map(int, sys.stdin.read().split())), '\\n\\n')"),
    Program("public tests alone", "print(3)", "wrong"),
    Program("off by one", "import sys\nprint(sum(map(int, sys.stdin.read().split())) + 1)", "wrong"),
    Program("nothing", "import sys", "wrong"),
    Program("two lines", "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nprint()\nprint(0)", "wrong"),
    Program("slow", "while True: pass", "time"),
    Program("asleep", "import time\ntime.sleep(100)", "time"),
    Program("crash", "print(1 // 0)", "runtime"),
    Program("syntax", "print(", "runtime"),
    Program("signal", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "runtime"),
    Program("exit status", "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nsys.exit(3)", "runtime", True),
    Program("memory", "x = [0] * (1 << 30)", "memory"),
    Program("flood", "while True: print('x' * 4096)", "output"),
    Program("fork bomb", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", "time"),
    Program("kills its kernel", "import os\nos.kill(os.getppid(), 9)", "runtime"),
    Program("looks for tests", "import glob\nprint([open(p).read() for p in glob.glob('/tmp/*.jsonl')])", "wrong"),
]  # fmt: skip
CALLED = [
    Program("method", method("return sum(xs)"), function=True),
    Program("prints, too", method("print(xs); return sum(xs)"), function=True),
    Program("plain imports of the site", method("return reduce(add, xs, 0)"), function=True),
    Program("wrong value", method("return sum(xs) + 1"), "wrong", function=True),
    Program("returns nothing", method("print(sum(xs))"), "wrong", function=True),
    Program("raises", method("return xs[99]"), "runtime", function=True),
    Program("other name", method("return sum(xs)").replace("total", "sums"), "runtime", function=True),
    Program("endless", method("while True: pass"), "time", function=True),
    Program("deep", method("f = lambda i: xs[i] + f(i + 1) if i < len(xs) else 0\n        return f(0)"), function=True),
]  # fmt: skip
PROGRAMS = READING + OTHERS + CALLED
