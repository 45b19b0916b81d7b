"""`Grader`: grades answers, with computer algebra in worker processes that can be killed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Literal, Self

from start_sdk._text.answers import final_answer, text_to_grade
from start_sdk.errors import ConfigError, MissingExtra
from start_sdk.grading._compare import How, Verdict, compare_texts, grade_choice, is_letter
from start_sdk.grading._normalise import OPTION, normalise
from start_sdk.trace import Trace

Kind = Literal["math", "choice"]
_START_SECONDS = 60.0  # importing sympy takes a second, or many on a busy machine


class Grader:
    """Grades answers; use it with `async with`.

    Equal texts and plain numbers are compared directly. The rest goes to a worker process, which
    is started when first needed and killed when it takes too long or too much memory. In that case
    the verdict is "undecided" and a new worker is started.

    Args:
        workers: answers compared by computer algebra at the same time.
        seconds: wall time for one comparison.
        memory_mb: address space of a worker, in MiB; sympy alone takes about 150.
        max_chars: maximum length of an answer and of a gold answer; longer ones are undecided.

    Raises:
        MissingExtra: math-verify is not installed.
        ConfigError: a limit is not positive, or is too low for a worker to start.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        seconds: float = 3.0,
        memory_mb: int = 1024,
        max_chars: int = 2_000,
    ) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtra("symbolic grading", "grading")
        if min(workers, seconds, memory_mb, max_chars) <= 0:
            raise ConfigError("workers, seconds, memory_mb and max_chars must be positive")
        self._max_chars = max_chars
        self._workers = [_Worker(seconds, memory_mb) for _ in range(workers)]
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        for worker in self._workers:
            self._idle.put_nowait(worker)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stops the workers. A closed grader starts new ones if it is used again."""
        for worker in self._workers:
            await worker.stop()

    async def grade(self, text: str | Trace | None, gold: str, kind: Kind = "math") -> Verdict:
        r"""Grades a response.

        Args:
            text: the whole response or only the answer, of any length; None if there is none. Of a
                trace: its response, else what the model's own prose states.
            gold: the gold answer: LaTeX or plain text without a sentence around it; for "choice"
                a letter.
            kind: "math", or "choice" if only letters count.
        """
        if isinstance(text, Trace):
            text = text_to_grade(text.segments)
        if kind == "choice":
            return grade_choice(text, gold)
        if text and text.strip() == gold.strip():
            return Verdict(correct=True, how="exact", answer=gold.strip())
        if text and len(text) <= self._max_chars >= len(gold):
            whole = compare_texts(text, gold)  # the gold answer may itself be a phrase
            if whole and whole.correct:
                return whole
        if text and is_letter(gold[: self._max_chars]):
            verdict = grade_choice(text, gold)
            # An option may be named by its letter or by what it says.
            if verdict.how == "choice" and (verdict.correct or not OPTION.match(gold)):
                return verdict
        answer = final_answer(text) if text else None
        if answer is None:
            return Verdict(correct=False, how="undecided", note="no answer")
        if max(len(answer), len(gold)) > self._max_chars:
            note = f"longer than {self._max_chars} characters"
            return Verdict(correct=False, how="undecided", answer=answer[:100], note=note)
        return compare_texts(answer, gold) or await self._compare(answer, gold)

    async def same(self, first: str, second: str) -> bool:
        """Whether two extracted answers mean the same."""
        if max(len(first), len(second)) > self._max_chars:
            return first == second
        verdict = compare_texts(first, second) or await self._compare(first, second)
        return verdict.correct

    async def _compare(self, answer: str, gold: str) -> Verdict:
        worker = await self._idle.get()
        try:
            result = await worker.ask(normalise(answer).text, normalise(gold).text)
        finally:
            self._idle.put_nowait(worker)
        hows: dict[str, How] = {
            "symbolic": "symbolic",
            "numeric": "numeric",
            "different": "symbolic",
        }
        if result in hows:
            return Verdict(correct=result != "different", how=hows[result], answer=answer)
        note = "cannot be parsed" if result == "undecided" else result
        return Verdict(correct=False, how="undecided", answer=answer, note=note)


def grade_all(pairs: Iterable[tuple[str | Trace | None, str]], **options: int) -> list[Verdict]:
    """Grades (text, gold) pairs, for scripts: one verdict each, in order. Options: see `Grader`."""

    async def run() -> list[Verdict]:
        async with Grader(**options) as grader:
            return await asyncio.gather(*(grader.grade(text, gold) for text, gold in pairs))

    return asyncio.run(run())


class _Worker:
    """One worker process, started when needed and replaced after it was killed."""

    def __init__(self, seconds: float, memory_mb: int) -> None:
        self._seconds = seconds
        self._memory_mb = memory_mb
        self._process: asyncio.subprocess.Process | None = None
        self._ready = False

    async def ask(self, answer: str, gold: str) -> str:
        """The worker's result, or the reason why there is none."""
        try:
            process = await self._started()
            assert process.stdin
            process.stdin.write(json.dumps([answer, gold]).encode() + b"\n")
            result = await _line(process, self._seconds)
        except TimeoutError:
            result = f"took longer than {self._seconds:g} s"
        except BaseException:
            await self.stop()
            raise
        else:
            if result:
                return result
            result = f"took more than {self._memory_mb} MiB, or was killed"
        if self._process is not None:  # else the grader has been closed in the meantime
            await self.stop()
            await self._spawn()  # it imports sympy while the caller continues
        return result

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process and self._process.returncode is not None:
            await self.stop()
        process = self._process or await self._spawn()
        if not self._ready:
            try:
                self._ready = await _line(process, _START_SECONDS) == "ready"
            except TimeoutError as error:
                message = f"a grading worker did not start within {_START_SECONDS:g} s"
                raise ConfigError(message) from error
        if not self._ready:
            raise ConfigError(
                f"a grading worker did not start: memory_mb={self._memory_mb} may be too low"
            )
        return process

    async def _spawn(self) -> asyncio.subprocess.Process:
        limits = (str(self._memory_mb), str(self._seconds))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "start_sdk.grading._worker", *limits,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            start_new_session=True,  # Ctrl-C must only reach the host
        )  # fmt: skip
        return self._process

    async def stop(self) -> None:
        process, self._process, self._ready = self._process, None, False
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process, seconds: float) -> str:
    """The next line written by a worker; "" if it has exited.

    Raises:
        TimeoutError: no line arrived in time.
    """
    assert process.stdout
    async with asyncio.timeout(seconds):
        return (await process.stdout.readline()).decode().strip()


def _environment() -> dict[str, str]:
    """A worker's environment: module paths and nothing else (no keys, no tokens)."""
    paths = os.pathsep.join(os.path.abspath(p) for p in sys.path if p)
    return {"PYTHONPATH": paths, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
