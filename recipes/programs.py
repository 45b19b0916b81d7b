"""Checks whether a program written by a model passes the tests of a code task."""

from __future__ import annotations

from recipes.suites import CodeProblem, Problem
from start_sdk import ConfigError, Interpreter
from start_sdk.grading.programs import ProgramLimits, ProgramTest, run_program


async def passes(
    python: Interpreter,
    problem: Problem,
    code: str | None,
    limits: ProgramLimits | None = None,
) -> bool:
    """Whether a program gives what every test expects.

    Raises:
        ConfigError: the problem has no tests, or not such as its kind needs.
        InterpreterError: no kernel could be started.
    """
    tests, function = tests_of(problem)
    if not tests:
        raise ConfigError(f"problem {problem.id} has no tests")
    if code is None:
        return False
    return (await run_program(code, tests, python, function=function, limits=limits)).correct


def tests_of(problem: Problem) -> tuple[list[ProgramTest], str]:
    """The tests of a code task, and the function that they call; "" for standard input."""
    if isinstance(problem, CodeProblem):
        cases, function = problem.cases, problem.function
    else:
        cases, function = tuple((str(a), str(b)) for a, b in problem.tests), "f"
    return [ProgramTest(given=given, expected=expected) for given, expected in cases], function
