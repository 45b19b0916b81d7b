"""Applies rules to a trace: START's "score" and "filter" (section 3), which are not disclosed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from recipes.settings import Curation
from start_sdk import Trace
from start_sdk.session import repeats

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
        """Cells that said nothing and left nothing for later ones.

        The rule is ours. SimpleTIR (arXiv 2509.02479) drops trajectories with void turns, which
        have neither code nor an answer; a cell that defines a function is no such turn.
        """
        return sum(
            call.status == "ok" and not call.output.strip() and not binds(call.code)
            for call in self.trace.calls
        )

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


_BINDING = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign,
    ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.Assert,
)  # fmt: skip


def binds(code: str) -> bool:
    """Whether code defines, imports, assigns or asserts anything.

    What Python cannot parse (IPython's own syntax) does not.
    """
    try:
        return any(isinstance(node, _BINDING) for node in ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def refusal(score: Score, rules: Curation) -> str | None:
    """Why a trace is not trained on, the first reason that holds; None for a good one."""
    return next(_reasons(score, rules), None)


def calls_amiss(score: Score, *, easy: bool) -> str | None:
    """Why a trace does not call as its problem asks for: an easy one is answered without code."""
    if easy == (score.calls == 0):
        return None
    return "code for an easy problem" if easy else "no code for a hard problem"


def _reasons(score: Score, rules: Curation) -> Iterator[str]:
    trace = score.trace
    if not trace.exact:
        yield "not token-exact"
    if not score.correct:
        yield "wrong answer"
    if trace.finish not in ("eos", "concluded") or reached_a_limit(trace):
        yield "ended by a limit"
    if rules.needs_call and not score.calls:
        yield "no code"
    if is_repetitive(trace, rules.repeats):
        yield "repetitive"
    if writes_output(trace):
        yield "output written by the model"
    if score.error_rate > rules.max_error_rate:
        yield "failed code"
    if score.void:
        yield "void code"
    if score.tokens > rules.max_tokens:
        yield "too long"


def reached_a_limit(trace: Trace) -> bool:
    """Whether the session had to say that something was used up; to ask for the answer is none."""
    return any(segment.notice not in (None, "conclusion") for segment in trace.segments)


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
