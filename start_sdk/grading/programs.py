r"""Judges programs that a model wrote, as a contest does: a process, its input and its output.

    test = ProgramTest(given="1 2\n", expected="3\n")
    verdict = await run_program(code, [test], PythonTool())
    verdict.correct, verdict.outcome        # (False, "time")

A program runs in the sandbox of an interpreter's kernels, under limits of its own.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.resources import files
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import Field, ValidationError

from start_sdk.errors import ConfigError, InterpreterError
from start_sdk.grading._outputs import read_json, same_text, same_value
from start_sdk.protocols import CellResult, Interpreter, Kernel
from start_sdk.values import Frozen, Settings

__all__ = ["Outcome", "ProgramLimits", "ProgramRun", "ProgramTest", "ProgramVerdict", "run_program"]

Outcome = Literal["passed", "wrong", "time", "memory", "runtime", "output"]
GRACE = 10.0
"""Seconds, beyond its own, until a kernel is stopped that does not say how a program ended."""
MIB = 1 << 20
Limit = Annotated[float, Field(gt=0)]
Size = Annotated[int, Field(gt=0)]


class ProgramLimits(Settings):
    """What a program may use for one test.

    Args:
        cpu_seconds: CPU time of a process. It depends less than wall-clock time on what else runs.
        seconds: wall-clock time, for programs that wait.
        memory_mb: MiB of memory of a process. The interpreter's own limit holds, too.
        output_mb: MiB that it may write.
    """

    cpu_seconds: Limit = 10.0
    seconds: Limit = 20.0
    memory_mb: Size = 1024
    output_mb: Annotated[int, Field(gt=0, le=16)] = 8


class ProgramTest(Frozen):
    """What a program is given, and what is expected of it.

    For a function, `given` has its arguments, one a line, and `expected` its value, all in JSON.
    """

    given: str
    expected: str


class ProgramRun(Frozen):
    """How a program did on one test."""

    outcome: Outcome
    """"passed"; "wrong" output; more than it may use of "time", "memory" or "output"; "runtime": it
    raised, crashed, or left with an exit status other than 0."""
    seconds: float = 0.0
    """CPU time."""
    note: str = ""
    """The last line of its standard error, or what else there is to say; at most 300 characters."""


class ProgramVerdict(Frozen):
    """How a program did on its tests, in order; by default up to the first that it failed."""

    runs: tuple[ProgramRun, ...]
    tests: int
    """How many there are."""

    @property
    def correct(self) -> bool:
        """Whether it passed all of them."""
        return len(self.runs) == self.tests and self.outcome == "passed"

    @property
    def outcome(self) -> Outcome:
        """Of the first test that it failed; "passed" if there is none."""
        failed: list[Outcome] = [run.outcome for run in self.runs if run.outcome != "passed"]
        return failed[0] if failed else "passed"


Check = Callable[[str, ProgramTest], bool]
"""Whether what was printed, or the value in JSON, is right for a test."""


@runtime_checkable
class FileKernel(Kernel, Protocol):
    """A kernel with files, as those of `PythonTool` are."""

    async def put_file(self, path: str, data: bytes) -> None: ...

    async def get_file(self, path: str, *, max_bytes: int = ...) -> bytes: ...


async def run_program(
    code: str,
    tests: Sequence[ProgramTest],
    interpreter: Interpreter,
    *,
    function: str = "",
    driver: str = "",
    limits: ProgramLimits | None = None,
    exact: bool = False,
    check: Check | None = None,
    run_all: bool = False,
) -> ProgramVerdict:
    """Runs a program on tests, each time as a new process.

    Printed lines are compared word by word; see `docs/grading.md`. What a test expects never enters
    the sandbox.

    Args:
        code: the program.
        tests: at least one.
        interpreter: whose kernels it runs in; they need `put_file` and `get_file`.
        function: called with the arguments of each test, a method of a class `Solution` or a plain
            function; by default the program reads standard input.
        driver: source of a script that runs in place of the program, with the program's path and
            `function` as its arguments.
        limits: for one test.
        exact: numbers have to be equal; by default those that a test writes with a decimal point
            may be off by 1e-6, absolute or relative.
        check: says whether a test's output is right, for tasks that have several right ones.
        run_all: go on after a test that it failed.

    Raises:
        ConfigError: there are no tests, one of a function is not JSON, or kernels have no files.
        InterpreterError: no kernel could be started.
    """
    if not tests:
        raise ConfigError("a program needs at least one test to be judged by")
    if function:
        check_called(tests)
    limits = limits or ProgramLimits()
    driver = driver or (_source("_called") if function else "")
    judge = _Judge(code, driver, function.rpartition(".")[2], limits)
    same = check or partial(_same_value if function else _same_text, exact=exact)
    runs: list[ProgramRun] = []
    while len(runs) < len(tests):
        async with interpreter.open() as kernel:
            first = len(runs)
            for test in tests[first:]:
                try:
                    run = await judge.run(kernel, test, same, fresh=len(runs) == first)
                except InterpreterError:
                    if len(runs) == first:
                        raise
                    break  # what the tests before left behind is in the way: once more, alone
                runs.append(run)
                if run.outcome != "passed" and not run_all:
                    return ProgramVerdict(runs=tuple(runs), tests=len(tests))
                if run.outcome not in ("passed", "wrong"):
                    break  # it may have harmed its kernel
    return ProgramVerdict(runs=tuple(runs), tests=len(tests))


def check_called(tests: Sequence[ProgramTest]) -> None:
    """Raises ConfigError if a test of a function is not in JSON."""
    for number, test in enumerate(tests, 1):
        try:
            for text in (*filter(str.strip, test.given.split("\n")), test.expected):
                read_json(text)
        except ValueError as error:
            raise ConfigError(f"test {number} of a function is not JSON: {error}") from error


@cache
def _source(module: str) -> str:
    return files("start_sdk.grading").joinpath(f"{module}.py").read_text(encoding="utf-8")


def _same_text(printed: str, test: ProgramTest, *, exact: bool) -> bool:
    return same_text(printed, test.expected, exact=exact)


def _same_value(printed: str, test: ProgramTest, *, exact: bool) -> bool:
    try:
        return same_value(printed, test.expected, exact=exact)
    except ValueError:
        return False


class _Report(Frozen):
    """What the kernel says of a run. A program may have had a hand in it, but to no purpose: it
    does not know what to print."""

    code: int
    late: bool
    cpu: float
    error: str


class _Judge:
    """A program and how it is judged."""

    def __init__(self, code: str, driver: str, function: str, limits: ProgramLimits) -> None:
        self._files = {"program.py": code, **({"driver.py": driver} if driver else {})}
        self._script = ["driver.py", "../program.py", function] if driver else ["program.py"]
        self._limits = limits

    async def run(
        self, kernel: Kernel, test: ProgramTest, same: Check, *, fresh: bool
    ) -> ProgramRun:
        """One test.

        Raises:
            ConfigError: the kernel has no files.
            InterpreterError: the kernel cannot run it.
        """
        if not isinstance(kernel, FileKernel):
            raise ConfigError("programs need an interpreter whose kernels have files")
        if fresh:
            for path, text in self._files.items():
                await kernel.put_file(path, _bytes(text))
        name = secrets.token_hex(8)  # which no earlier run knows
        await kernel.put_file(f"{name}.in", _bytes(test.given))
        limits = self._limits
        options = {
            "name": name,
            "script": self._script,
            "cpu": limits.cpu_seconds,
            "seconds": limits.seconds,
            "memory": limits.memory_mb * MIB,
            "output": limits.output_mb * MIB,
        }
        cell = f"{_source('_judge')}\n\njudge(**{options!r})"
        result = await kernel.run(cell, timeout=limits.seconds + GRACE)
        if result.status != "ok":
            return _lost(result)
        try:
            report = _Report.model_validate_json(await kernel.get_file(f"{name}.json"))
            printed = await kernel.get_file(f"{name}.out")
        except (InterpreterError, ValidationError) as error:
            return ProgramRun(outcome="runtime", note=f"its output is gone: {error}"[:300])
        outcome = self._outcome(report, len(printed))
        if outcome == "passed":
            text = printed.decode("utf-8", "replace")
            outcome = "passed" if await asyncio.to_thread(same, text, test) else "wrong"
        return ProgramRun(outcome=outcome, seconds=round(report.cpu, 3), note=report.error[:300])

    def _outcome(self, report: _Report, size: int) -> Outcome:
        """How a run ended, whatever it printed."""
        overdue = report.cpu >= self._limits.cpu_seconds or report.code == -signal.SIGXCPU
        if report.late or overdue:
            return "time"
        if size >= self._limits.output_mb * MIB:
            return "output"
        # What kills a process that nobody here has killed is Linux, for want of memory.
        if report.code == -signal.SIGKILL or (report.code and "MemoryError" in report.error):
            return "memory"
        return "runtime" if report.code else "passed"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _lost(result: CellResult) -> ProgramRun:
    """The verdict on a program whose kernel ended with it, or did not get to the end."""
    note = result.text.strip().rpartition("\n")[2][:300]
    if result.status == "timeout":
        return ProgramRun(outcome="time", note=note)
    return ProgramRun(outcome="memory" if "memory" in note else "runtime", note=note)
