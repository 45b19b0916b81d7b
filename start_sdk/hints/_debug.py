"""START's debug hint for code problems, filled in for one problem.

The paper's hint shows a structure to follow, then recalls the sample tests. The paper does not
disclose what fills its placeholders: the templates here are ours. One is for problems with starter
code whose function is called, the other for programs that read standard input.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from start_sdk.errors import ConfigError
from start_sdk.hints._library import HintLibrary
from start_sdk.protocols import Hint

_STDIN = """import io, sys

def solve():
    ...  # the program, as it would read sys.stdin

for text in ({inputs}):
    sys.stdin = io.StringIO(text)
    solve()"""
_DEFINITION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_CALLS = """{starter}

{calls}"""


def debug_hint(
    samples: Sequence[tuple[str, str]],
    *,
    starter_code: str | None = None,
    library: HintLibrary | None = None,
) -> Hint:
    """Returns the debug hint, filled in with a template and a problem's sample tests.

    Args:
        samples: input and expected output of each public test; at least one. With starter code the
            input is the arguments of a call in Python syntax, e.g. "[3, 1, 2], 2".
        starter_code: a function's signature, or a class `Solution` with one method; if None, the
            program reads standard input.
        library: library that contains the hint "debug".

    Raises:
        ConfigError: there are no samples, or the starter code defines no function.
    """
    if not samples:
        raise ConfigError("the debug hint needs at least one sample test")
    if starter_code is None:
        names = ", ".join(f"test_input{n}" for n in range(1, len(samples) + 1))
        template = _STDIN.format(inputs=f"{names},")
    else:
        call = _call(starter_code)
        star = "*" if _takes_several(starter_code) else ""
        calls = "\n".join(f"print({call}({star}test_input{n}))" for n in range(1, len(samples) + 1))
        template = _CALLS.format(starter=starter_code.rstrip(), calls=calls)
    outputs = "\n".join(f"test_output{n}" for n in range(1, len(samples) + 1))
    tests = "".join(
        f"\nInput {n}:\n{given.strip()}\nOutput {n}:\n{expected.strip()}"
        for n, (given, expected) in enumerate(samples, 1)
    )
    hint = (library or HintLibrary.load()).get("debug")
    return hint.fill(code_template=template, sample_output=outputs, testcase=tests + "\n")


def _call(starter_code: str) -> str:
    """Returns the expression that calls the requested function."""
    method = re.search(r"^class\s+Solution\b", starter_code, re.MULTILINE)
    name = _requested(starter_code)[1]
    return f"Solution().{name}" if method else name


def _requested(starter_code: str) -> re.Match[str]:
    """The first function that is no special method: its name and what follows `(`."""
    for found in _DEFINITION.finditer(starter_code):
        if not found[1].startswith("__"):
            return found
    raise ConfigError("the starter code defines no function: omit it for standard input")


def _takes_several(starter_code: str) -> bool:
    """Whether the requested function has more than one parameter beside `self` and `cls`."""
    depth, commas = 0, [""]
    for c in starter_code[_requested(starter_code).end() :]:
        depth += (c in "([{") - (c in ")]}")
        if depth < 0:
            break
        if c == "," and not depth:
            commas.append("")
        else:
            commas[-1] += c
    names = [parameter.partition(":")[0].strip() for parameter in commas]
    return len([name for name in names if name not in ("", "self", "cls", "/", "*")]) > 1
