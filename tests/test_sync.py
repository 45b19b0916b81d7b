"""The blocking API: in scripts, and inside a running event loop."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from start_sdk import (
    BeforeEnd,
    CellResult,
    Chunk,
    ConfigError,
    Delta,
    HintLibrary,
    PromptError,
    Segment,
    SyncSession,
    find_insertion_points,
    plugins,
)
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend

SCRIPT = ["```python\n1\n```\n", "ok</think>4"]


def test_run_resume_and_stream() -> None:
    interpreter = FakeInterpreter({"1": "1"})
    with SyncSession(ScriptedBackend(SCRIPT), interpreter=interpreter) as session:
        trace = session.run("?")
        assert trace.answer == "4"
        at = len(trace.segments[0].token_ids)
        assert session.resume(trace, at).answer == "4"
        run = session.stream("?")
        text = "".join(e.text for e in run if isinstance(e, Delta))
        assert text.startswith("```python") and run.trace.answer == "4"
    assert interpreter.open_now == 0


def test_leaving_a_stream_early_stops_the_run() -> None:
    interpreter = FakeInterpreter({"1": "1"})
    with SyncSession(ScriptedBackend(SCRIPT), interpreter=interpreter) as session:
        run = session.stream("?")
        events = iter(run)
        assert next(events) is not None
        events.close()  # type: ignore[attr-defined]
        assert run.trace.finish == "cancelled"


def test_a_hint_is_inserted_into_a_finished_thought() -> None:
    script = ["It is 5.</think>5", "\n1\n```\n", "So 4.</think>4"]
    interpreter = FakeInterpreter({"1": "1"})
    with SyncSession(ScriptedBackend(script), hints=BeforeEnd(), interpreter=interpreter) as hinted:
        streamed = hinted.run("?")
    with SyncSession(ScriptedBackend(script[:1])) as plain:
        trace = plain.run("?", seed=3)
    point, general = (
        find_insertion_points(trace, CharTokenizer())[-1],
        HintLibrary.load().get("general"),
    )
    with SyncSession(ScriptedBackend(script[1:]), interpreter=interpreter) as session:
        staged = session.resume_hinted(trace, point, general)
        assert staged.token_ids == streamed.token_ids and staged.seed == 3
        assert session.resume_hinted(trace, point, general, seed=5).seed == 5


def test_a_stream_is_steered_between_its_events() -> None:
    with SyncSession(ScriptedBackend(["Hm. " * 9_000, "So 4.</think>4"])) as session:
        run = session.stream("?")
        for event in run:
            if isinstance(event, Delta) and run.trace.usage.model == 4:
                run.steer("Enough.")
        assert run.trace.thinking == "Hm. \n\nEnough.So 4."
        with pytest.raises(ConfigError, match="over"):
            run.steer("Hm.")
        with pytest.raises(ConfigError, match="0 runs"):
            session.steer("Hm.")


def test_a_run_is_steered_from_another_thread() -> None:
    begun, steered = threading.Event(), threading.Event()

    class Waiting(ScriptedBackend):
        """Thinks until it is steered."""

        async def generate(self, *args: Any, **kw: Any) -> AsyncGenerator[Chunk, None]:
            async for chunk in super().generate(*args, **kw):
                yield chunk
                begun.set()
                await asyncio.to_thread(steered.wait, 60)

    with SyncSession(Waiting(["Hm. " * 90, "So 4.</think>4"])) as session:
        answers: list[str | None] = []
        thread = threading.Thread(target=lambda: answers.append(session.run("?").answer))
        thread.start()
        assert begun.wait(10)
        session.steer("Enough.")
        steered.set()
        thread.join()
    assert answers == ["4"]


async def test_it_works_inside_a_running_loop() -> None:
    with SyncSession(ScriptedBackend(["x</think>4"])) as session:
        assert session.run("?").answer == "4"


def test_errors_propagate() -> None:
    with SyncSession(ScriptedBackend([])) as session, pytest.raises(PromptError):
        session.run("")


def test_a_backend_that_was_passed_stays_open() -> None:
    backend = ScriptedBackend(["x</think>4"])
    with SyncSession(backend):
        pass
    assert not backend.closed


def test_a_session_closes_what_it_opened_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = ScriptedBackend(["x</think>", "\n1\n```\n", "so</think>4"])
    made: dict[str, Any] = {
        "backends": lambda model: backend,
        "interpreters": lambda: FakeInterpreter({"1": "1"}),
        "hints": BeforeEnd,
    }
    monkeypatch.setattr(plugins, "load", lambda group, name: made[group])
    session = SyncSession("any", interpreter="python", hints="end")
    trace = session.run("?")
    assert (len(trace.hints), len(trace.calls), trace.answer) == (1, 1, "4")
    assert not backend.closed
    session.close()
    assert backend.closed


@pytest.mark.parametrize("end", ["", "raise ValueError", "session.run('')", "del session"])
def test_a_program_that_does_not_close_its_session_ends(end: str) -> None:
    program = (
        "from start_sdk import SyncSession\n"
        "from start_sdk.testing import ScriptedBackend\n"
        "session = SyncSession(ScriptedBackend(['a</think>1']))\n"
        f"print(session.run('q').answer)\n{end}"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert ended.stdout == "1\n"
    assert (ended.returncode == 0) == (end in ("", "del session")), ended.stderr


def test_a_run_inside_the_loop_over_another_one_is_refused() -> None:
    with SyncSession(
        ScriptedBackend(lambda _: SCRIPT), interpreter=FakeInterpreter({"1": "1"}), keep_state=True
    ) as session:
        for event in session.stream("?"):
            if isinstance(event, Segment) and event.source == "prompt":
                with pytest.raises(ConfigError, match="one run follows another"):
                    session.run("?")
        assert session.run("?").answer == "4"


def test_a_closed_session_says_so() -> None:
    session = SyncSession(ScriptedBackend(SCRIPT))
    run = session.stream("?")
    session.close()
    for call in (lambda: session.run("?"), lambda: list(run), lambda: session.steer("Hm.")):
        with pytest.raises(ConfigError, match="the session is closed"):
            call()
    run.cancel()
    run.close()


def test_an_interrupt_cancels_the_run_that_is_waited_for() -> None:
    started, stopped = threading.Event(), threading.Event()

    class Endless(FakeInterpreter):
        async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            raise AssertionError

    def interrupt() -> None:
        started.wait(10)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with SyncSession(ScriptedBackend(SCRIPT), interpreter=Endless()) as session:
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            session.run("?")
        assert stopped.is_set()


def test_a_session_that_another_thread_closes_ends_the_call() -> None:
    started = threading.Event()

    class Endless(FakeInterpreter):
        async def run(self, code: str, *, timeout: float | None = None) -> CellResult:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

    interpreter = Endless()
    session = SyncSession(ScriptedBackend(SCRIPT), interpreter=interpreter)

    def close() -> None:
        started.wait(10)
        session.close()

    thread = threading.Thread(target=close)
    thread.start()
    with pytest.raises(ConfigError, match="was closed during this call"):
        session.run("?")
    thread.join()
    assert interpreter.open_now == 0
