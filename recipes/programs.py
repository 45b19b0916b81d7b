"""Checks whether a program written by a model passes the tests of a code task."""

from __future__ import annotations

from recipes.livecodebench import stored_tests
from recipes.suites import CodeProblem, Problem
from start_sdk import ConfigError, Interpreter
from start_sdk.grading.programs import ProgramLimits, ProgramTest, run_program

STORED = ProgramLimits(cpu_seconds=6, seconds=18)
"""LiveCodeBench's limit, as CPU time, which depends less on the machine."""


async def judge(
    python: Interpreter,
    problem: Problem,
    code: str | None,
    limits: ProgramLimits | None = None,
) -> str:
    """How a program does on its tests: "passed", or the outcome of the first that it fails.

    Raises:
        ConfigError: the problem has no tests, or they cannot be read.
        InterpreterError: no kernel could be started.
    """
    tests, function = tests_of(problem)
    if not tests:
        raise ConfigError(f"problem {problem.id} has no tests")
    if code is None:
        return "no program"
    if limits is None and isinstance(problem, CodeProblem) and problem.stored:
        limits = STORED
    return (await run_program(code, tests, python, function=function, limits=limits)).outcome


async def passes(
    python: Interpreter,
    problem: Problem,
    code: str | None,
    limits: ProgramLimits | None = None,
) -> bool:
    """Whether a program passes all tests; the same errors."""
    return await judge(python, problem, code, limits) == "passed"


def tests_of(problem: Problem) -> tuple[list[ProgramTest], str]:
    """The tests of a code task, and the function that they call; "" for standard input.

    Raises:
        ConfigError: they cannot be read from where they are stored.
    """
    if isinstance(problem, CodeProblem):
        stored = problem.stored and stored_tests(problem.stored, problem.digest)
        cases, function = stored or problem.cases, problem.function
    else:
        cases, function = tuple((str(a), str(b)) for a, b in problem.tests), "f"
    return [ProgramTest(given=given, expected=expected) for given, expected in cases], function
