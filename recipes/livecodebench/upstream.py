"""Upstream's verdict on a response, with its known faults, for comparison with its leaderboard.

Its rules: the code is between the last two lines with a fence in them; numbers have to be equal; a
function's value has to be equal with `==`; 6 s per test. Unlike there, each test has a process of
its own, so state that a program keeps from test to test is not seen.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from importlib.resources import files

from recipes.livecodebench import stored_tests
from recipes.suites import CodeProblem
from start_sdk import Interpreter
from start_sdk.grading.programs import ProgramLimits, ProgramTest, run_program

LIMITS = ProgramLimits(cpu_seconds=7, seconds=6)
"""Upstream's clock is on the wall."""


def extracted(response: str) -> str:
    """The code that upstream finds in a response; "" if there are not two fences."""
    lines = response.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    return "\n".join(lines[fences[-2] + 1 : fences[-1]]) if len(fences) > 1 else ""


async def passes(python: Interpreter, problem: CodeProblem, response: str) -> bool:
    """Whether upstream would count a response as right.

    Raises:
        ConfigError: the problem's tests cannot be read.
        InterpreterError: no kernel could be started.
    """
    code = extracted(response)
    if not code.strip():
        return False
    tests = stored_tests(problem.stored, problem.digest)
    verdict = await run_program(
        code,
        [ProgramTest(given=given, expected=expected) for given, expected in tests],
        python,
        function=problem.function,
        driver=files("recipes.livecodebench").joinpath("driver.py").read_text(encoding="utf-8"),
        limits=LIMITS,
        check=same_value if problem.function else same_lines,
    )
    return verdict.correct


def same_lines(printed: str, test: ProgramTest) -> bool:
    """As many lines, each equal as text or as exact decimals."""
    ours, right = (text.strip().split("\n") for text in (printed, test.expected))
    return len(ours) == len(right) and all(
        a.strip() == b.strip() or _decimals(a) == _decimals(b) is not None
        for a, b in zip(ours, right, strict=True)
    )


def _decimals(line: str) -> list[Decimal] | None:
    try:
        return [Decimal(word) for word in line.split()]
    except InvalidOperation:
        return None


def same_value(returned: str, test: ProgramTest) -> bool:
    """Equal, as Python has it."""
    try:
        return bool(json.loads(returned) == json.loads(test.expected))
    except (ValueError, RecursionError):
        return False
