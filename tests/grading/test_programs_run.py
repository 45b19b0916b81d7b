"""Programs judged in real sandboxes, and what counts as the same output."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from start_tools.python import PythonTool

from start_sdk import ConfigError
from start_sdk.grading._outputs import same_text, same_value
from start_sdk.grading.programs import (
    ProgramLimits,
    ProgramTest,
    ProgramVerdict,
    run_program,
)
from start_sdk.testing import FakeInterpreter

PYTHON = PythonTool()
SUMS = [ProgramTest(given="1\n2\n", expected="3\n"), ProgramTest(given="5\n-1\n", expected="4")]
SHORT = ProgramLimits(cpu_seconds=1, seconds=3, memory_mb=256, output_mb=1)


async def judged(
    code: str, tests: Sequence[ProgramTest] = SUMS, **options: object
) -> ProgramVerdict:
    options = {"limits": SHORT, **options}
    return await run_program(code, tests, PYTHON, **options)  # type: ignore[arg-type]


def slow(code: str, outcome: str) -> ParameterSet:
    return pytest.param(code, outcome, marks=pytest.mark.slow)


def outcomes(verdict: ProgramVerdict) -> list[str]:
    return [run.outcome for run in verdict.runs]


@pytest.mark.parametrize(
    "code",
    [
        "print(int(input()) + int(input()))",
        "import sys\nfor line in sys.stdin: total = globals().get('total', 0) + int(line)\nprint(total)",
        "import sys\nb = sys.stdin.buffer\nx = int(b.readline())\nprint(x + int(b.readline()))",
        "import sys\nx = int(input())\nprint(x + int(sys.stdin.read()))",
        "if __name__ == '__main__':\n    print(sum(map(int, open(0))), flush=True)\nexit()",
        "import os, sys\nsys.stdout.buffer.write(b'%d' % sum(map(int, sys.stdin.buffer.readlines())))\n"
        "sys.stdout.flush()\nos._exit(0)",
        "import threading\nt = 0\ndef run():\n    global t\n    t = int(input()) + int(input())\n    print(t)\n"
        "threading.stack_size(1 << 26)\nthread = threading.Thread(target=run)\nthread.start()",
        "import os\nos.write(1, str(sum(map(int, os.read(0, 99).split()))).encode())",
    ],
)  # fmt: skip
async def test_a_program_reads_and_writes_as_it_likes(code: str) -> None:
    verdict = await judged(code)
    assert verdict.correct and outcomes(verdict) == ["passed", "passed"], verdict


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("print(4)", "wrong"),
        ("", "wrong"),
        ("while True: pass", "time"),
        slow("import time\ntime.sleep(60)", "time"),
        slow("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", "time"),
        ("x = bytearray(1 << 30)\nprint(3)", "memory"),
        slow("import os\nos.kill(os.getpid(), 9)", "memory"),
        ("while True: print('a' * 1000)", "output"),
        ("print(3)\nraise ValueError('no')", "runtime"),
        slow("print(3)\nexit(1)", "runtime"),
        slow("def", "runtime"),
        slow("import ctypes\nctypes.string_at(0)", "runtime"),
        ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nprint(3)", "runtime"),
        ("import os\nfor name in os.listdir('..'):\n    if name != 'x': os.remove('../' + name)", "runtime"),
    ],
)  # fmt: skip
async def test_a_program_that_fails_says_how(code: str, outcome: str) -> None:
    verdict = await judged(code)
    assert (verdict.correct, verdict.outcome, len(verdict.runs)) == (False, outcome, 1), verdict


async def test_the_note_is_the_last_line_of_its_errors() -> None:
    assert (await judged("1 / 0")).runs[0].note == "ZeroDivisionError: division by zero"


async def test_all_tests_run_if_wanted_and_a_lost_kernel_is_replaced() -> None:
    code = (
        "import os, sys\nx = int(input()) + int(input())\n"
        "if x == 4: os.kill(os.getppid(), 9)\nif x == 9: sys.exit('no')\nprint(x)"
    )
    tests = [
        *SUMS,
        ProgramTest(given="4\n5", expected="9"),
        ProgramTest(given="0\n0", expected="1"),
    ]
    found = await judged(code, [*tests, SUMS[0]], run_all=True)
    assert outcomes(found) == ["passed", "runtime", "runtime", "wrong", "passed"]
    assert (found.correct, found.outcome, found.tests) == (False, "runtime", 5)


async def test_hostile_programs_are_contained_and_learn_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("42", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        code = (
            "import glob, os, socket\n"
            f"try: print(open({str(secret)!r}).read())\nexcept OSError: pass\n"
            f"try: socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)\n"
            "except OSError: pass\n"
            "for path in glob.glob('/sandbox/**', recursive=True) + glob.glob('/proc/*/cmdline'):\n"
            "    try:\n        if '12345678' in open(path).read(): print(12345678)\n"
            "    except (OSError, UnicodeDecodeError): pass\n"
            "while os.fork() == 0: os.setsid()\n"
        )
        tests = [ProgramTest(given="", expected="12345678")]
        assert outcomes(await judged(code.replace("'12345678'", "'1234' + '5678'"), tests)) == [
            "wrong"
        ]
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (await judged("print(3 if input() == '1' else 4)")).correct


@pytest.mark.slow
async def test_what_a_program_leaves_behind_does_not_harm_its_later_tests() -> None:
    code = (
        "import os\nprint(int(input()) + int(input()))\nos.mkdir('../x')\n"
        "try:\n    while True: open('../x/' + os.urandom(4).hex(), 'wb').write(bytes(1 << 20))\n"
        "except OSError: pass\n"
    )
    limits = ProgramLimits(seconds=20)
    assert (
        await judged(code.replace("while True:", "for _ in range(30):"), SUMS * 4, limits=limits)
    ).correct
    fork = "import os\nprint(int(input()) + int(input()), flush=True)\nwhile os.fork() == 0: os.setsid()\n"
    assert (await judged(fork, SUMS, limits=limits)).tests == 2


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("class Solution:\n    def total(self, a: List[int], b: int) -> int:\n        return sum(a) + b", "passed"),
        ("def total(a, b):\n    print('debug')\n    return sum(a) + b", "passed"),
        ("import numpy as np\ndef total(a, b): return np.sum(a) + b", "passed"),
        ("def total(a, b): return sum(a) - b", "wrong"),
        ("def total(a, b): print(sum(a) + b)", "wrong"),
        ("def total(a, b): return {6}", "wrong"),
        ("def total(a, b): exit()", "wrong"),
        ("def other(a, b): return 6", "runtime"),
        ("def total(a, b): raise ValueError", "runtime"),
        ("def total(a): return 6", "runtime"),
    ],
)  # fmt: skip
async def test_a_function_is_called_with_arguments_in_json(code: str, outcome: str) -> None:
    tests = [ProgramTest(given="[1, 2]\n3", expected="6")]
    assert outcomes(await judged(code, tests, function="total")) == [outcome]


async def test_a_checker_of_ones_own_decides_where_several_outputs_are_right() -> None:
    def even(printed: str, test: ProgramTest) -> bool:
        return int(printed) % 2 == 0 and test.expected == "3\n"

    assert (await judged("print(8)", SUMS[:1], check=even)).correct
    assert not (await judged("print(7)", SUMS[:1], check=even)).correct


async def test_what_cannot_be_judged_is_an_error() -> None:
    with pytest.raises(ConfigError, match="at least one test"):
        await judged("print(3)", [])
    with pytest.raises(ConfigError, match="test 2 of a function is not JSON"):
        tests = [ProgramTest(given="1", expected="1"), ProgramTest(given="x", expected="1")]
        await judged("print(3)", tests, function="f")
    with pytest.raises(ConfigError, match="kernels have files"):
        await run_program("print(3)", SUMS, FakeInterpreter(lambda code: ""))


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("3\n", "3", True), ("\n 3  \n\n", "3\n", True), ("3\r\n4\r\n", "3\n4", True), ("1  2", "1 2", True),
        ("3.0", "3", True), ("0.333333", "0.333333333333", True), ("0.5", "0.500000", True),
        ("1e-05", "0.00001", True), ("0.3333", "0.333333333", False), ("1000000.5", "1000000.0", True),
        ("1000002.5", "1000000.0", False), ("2.0000001", "2", False), ("a 0.5000001", "a 0.5", True),
        ("[0.50, 0.25]", "[0.5, 0.25]", True), ("[0.50, 0.26]", "[0.5, 0.25]", False), ("1.20.3", "1.2.3", False),
        ("3 4", "3\n4", False), ("3\n\n4", "3\n4", False), ("Yes", "YES", False), ("a\u2028b", "a\u2028b", True),
        ("", "0", False), ("9" * 5000, "9" * 5000, True), ("9" * 5000, "9" * 4999 + "8", False),
        ("10", "0010", False), ("007", "7", False), ("0010", "0010", True), ("0.50", "0.5", True),
        ("a\u00a0b", "a b", False), ("3\u2028", "3", False), ("0", "-0", True),
        ("1_0", "10", False), ("nan", "0.5", False), ("inf", "0.5", False), ("1e9999", "0.5", False),
    ],
)  # fmt: skip
def test_printed_lines_are_compared_word_by_word(printed: str, expected: str, same: bool) -> None:
    assert same_text(printed, expected) is same


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [("0.5", "0.500", True), ("3", "3.0", True), ("0.5000001", "0.5", False), ("[0.50]", "[0.5]", False)],
)  # fmt: skip
def test_exact_numbers_are_equal_however_they_are_written(
    printed: str, expected: str, same: bool
) -> None:
    assert same_text(printed, expected, exact=True) is same


@pytest.mark.parametrize(
    ("returned", "expected", "same"),
    [
        ("[1, 2]", "[1,2]", True), ("[[1, 2]]", "[[1,2]]", True), ("[1]", "[1,2]", False), ("1.0", "1", True),
        ("[0.3333333333333333]", "[0.33333]", True), ("0.66667", "0.666666666", False), ("1", "1.00000", True),
        ("true", "true", True), ('"a"', '"b"', False), ("null", "[]", False), ('{"a": 0.5}', '{"a": 0.50}', True),
        ("1" + "0" * 5000, "1" + "0" * 5000, True), ("1" + "0" * 5000, "2" + "0" * 5000, False),
        ("NaN", "0.5", False), ("1" + "0" * 400, "0.5", False),
    ],
)  # fmt: skip
def test_returned_values_are_compared_as_json(returned: str, expected: str, same: bool) -> None:
    assert same_value(returned, expected) is same


def test_an_exact_value_is_equal() -> None:
    assert same_value("0.5", "0.50", exact=True) and not same_value("0.5000001", "0.5", exact=True)
