"""The blocking face: in scripts, and where a loop runs already."""

from __future__ import annotations

import pytest

from start_sdk import Delta, PromptError, SyncSession
from start_sdk.testing import FakeInterpreter, ScriptedBackend

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


async def test_it_works_inside_a_running_loop() -> None:
    with SyncSession(ScriptedBackend(["x</think>4"])) as session:
        assert session.run("?").answer == "4"


def test_errors_come_through() -> None:
    with SyncSession(ScriptedBackend([])) as session, pytest.raises(PromptError):
        session.run("")


@pytest.mark.parametrize("handed_over", [True, False])
def test_the_backend_stays_the_callers_unless_handed_over(handed_over: bool) -> None:
    backend = ScriptedBackend(["x</think>4"])
    with SyncSession(backend, close_backend=handed_over):
        pass
    assert backend.closed == handed_over
