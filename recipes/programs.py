"""Checks whether a program written by a model passes the tests of a code task."""

from __future__ import annotations

from recipes.livecodebench import stored_tests
from recipes.suites import CodeProblem, Problem
from start_sdk import ConfigError, Interpreter
from start_sdk.grading.programs import ProgramLimits, ProgramTest, run_program

STORED = ProgramLimits(cpu_seconds=6, seconds=18)
"""LiveCodeBench's limit, as CPU time, which depends less on the machine."""


async def judge(python: Interpreter, problem: Problem, code: str | None) -> str:
    """How a program does on its tests: "passed", or the outcome of the first that it fails.

    Raises:
        ConfigError: the problem has no tests, or they cannot be read.
        InterpreterError: no kernel could be started.
    """
    function, limits = "f", None
    cases = tuple((str(given), str(expected)) for given, expected in problem.tests)
    if isinstance(problem, CodeProblem):
        function, cases = problem.function, problem.cases
        if problem.stored:
            cases, limits = stored_tests(problem.stored, problem.digest), STORED
    if not cases:
        raise ConfigError(f"problem {problem.id} has no tests")
    if code is None:
        return "no program"
    tests = [ProgramTest(given=given, expected=expected) for given, expected in cases]
    return (await run_program(code, tests, python, function=function, limits=limits)).outcome
