"""What rules say of a trace: START's "score" and "filter" (section 3), not disclosed there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from recipes.config import Curation
from start_sdk import Trace
from start_sdk.repetition import MAX_PERIOD, repetition

LOOK_EVERY = 16
"""Tokens between two looks for repetition."""
_OUTPUT = re.compile(r"^`{3,}output\b", re.MULTILINE)


@dataclass(frozen=True)
class Score:
    """A graded trace, measured.

    Attributes:
        correct: its answer is right, or its program passes the tests.
        trace: what is measured.
    """

    correct: bool
    trace: Trace

    @property
    def calls(self) -> int:
        """Cells that it ran."""
        return len(self.trace.calls)

    @property
    def failed(self) -> int:
        """Cells that raised, ran too long or died."""
        return sum(call.status != "ok" for call in self.trace.calls)

    @property
    def void(self) -> int:
        """Cells that said nothing (SimpleTIR, arXiv 2509.02479, drops traces with such turns)."""
        return sum(call.status == "ok" and not call.output.strip() for call in self.trace.calls)

    @property
    def error_rate(self) -> float:
        """Share of the calls that failed; 0 without calls."""
        return self.failed / (self.calls or 1)

    @property
    def written(self) -> int:
        """Tokens that the model wrote."""
        return self.trace.usage.model

    @cached_property
    def tokens(self) -> int:
        """Of the whole trace, its prompt included."""
        return len(self.trace.token_ids)

    def as_dict(self) -> dict[str, float]:
        """The measures, for files."""
        return {
            "correct": self.correct,
            "calls": self.calls,
            "failed": self.failed,
            "void": self.void,
            "written": self.written,
            "tokens": self.tokens,
        }


def refusal(score: Score, rules: Curation) -> str | None:
    """Why a trace is not trained on, the first reason that holds; None for a good one."""
    trace = score.trace
    reasons = (
        ("not token-exact", not trace.exact),
        ("wrong answer", not score.correct),
        ("ended by a limit", trace.finish != "eos" or has_notice(trace)),
        ("no code", rules.needs_call and not score.calls),
        ("repetitive", is_repetitive(trace, rules.repeats)),
        ("output written by the model", writes_output(trace)),
        ("failed code", score.error_rate > rules.max_error_rate),
        ("void code", score.void > 0),
        ("too long", score.tokens > rules.max_tokens),
    )
    return next((reason for reason, holds in reasons if holds), None)


def has_notice(trace: Trace) -> bool:
    """Whether the session had to say that something was used up."""
    return any(segment.source == "notice" for segment in trace.segments)


def writes_output(trace: Trace) -> bool:
    """Whether the model wrote what only a cell may say: a block of output."""
    texts = (s.text for s in trace.segments if s.source == "model")
    return any(_OUTPUT.search(text) for text in texts)


def is_repetitive(trace: Trace, copies: int) -> bool:
    """Whether the model wrote the same `copies` times, one behind the other."""
    return any(
        repeats(segment.token_ids, copies)
        for segment in trace.segments
        if segment.source == "model"
    )


def repeats(token_ids: Sequence[int], copies: int) -> bool:
    """Whether a pattern is repeated anywhere, as `start_sdk.repetition` finds it at an end.

    Looks are 16 tokens apart: one that goes on for 16 tokens more than it has to is never missed.
    """
    ends = range(LOOK_EVERY, len(token_ids) + LOOK_EVERY, LOOK_EVERY)
    window = MAX_PERIOD * copies
    return any(repetition(token_ids[max(0, end - window) : end], copies) for end in ends)
