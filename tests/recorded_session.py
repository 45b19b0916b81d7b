"""The session that `backends/recorded/record.py` records, and that tests replay."""

from __future__ import annotations

from start_sdk import Backend, BeforeEnd, Limits, ReasoningSession, Sampling
from start_sdk.testing import FakeInterpreter

QUESTION = "What is 2 plus 2?"


def session(backend: Backend) -> ReasoningSession:
    """A session with a hint and calls, if the backend can continue."""
    return ReasoningSession(
        backend,
        interpreter=FakeInterpreter(lambda code: "4"),
        hints=BeforeEnd(),
        sampling=Sampling(temperature=0, logprobs=True),
        limits=Limits(max_tokens=300, answer_reserve=60),
    )
