"""Looks at rows one by one: scores, filters, modifies and grades again what was modified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recipes.experiment import Judge, asked, problem_of
from recipes.hint_rft.contamination import Overlap
from recipes.hint_rft.modify import without_failed_tries
from recipes.hint_rft.score import Score, calls_amiss, refusal
from recipes.settings import Curation
from start_sdk import Interpreter, Tokenizer, Trace, TraceDrift, verify_trace
from start_sdk.batch import Row
from start_sdk.grading import Grader


@dataclass(frozen=True)
class Inspected:
    """A row that was looked at: its trace, perhaps modified, and why it is refused, if it is."""

    row: Row
    reason: str | None
    score: Score | None = None
    dropped: tuple[int, ...] = ()
    """Numbers of the segments that were dropped."""

    def audit(self) -> dict[str, Any]:
        """What is written of every row: where it is from, and what became of it."""
        return {
            **self.row.job.parts,
            "family": self.row.job.input.get("family", ""),
            "reason": self.reason,
            "error": self.row.error,
            "trace_id": (self.row.result or {}).get("trace", {}).get("id"),
            "score": self.score.as_dict() if self.score else None,
            "dropped": list(self.dropped),
        }

    def datum(self) -> dict[str, Any]:
        """A row of the training set."""
        assert self.score is not None
        names = ("question", "gold", "family")
        about = {name: self.row.job.input.get(name, "") for name in names}
        return {**self.audit(), **about, "trace": timeless(self.score.trace)}


def timeless(trace: Trace) -> dict[str, Any]:
    """A trace as JSON, without what it cost: equal seeds give equal files."""
    made = trace.model_dump(mode="json") | {"seconds": {}, "idle": 0.0, "recomputed": None}
    for segment in made["segments"]:
        if call := segment["call"]:
            call["seconds"] = 0.0
            for tool_call in call["tool_calls"]:
                tool_call["seconds"] = 0.0
    return made


class Inspector:
    """Looks at rows one by one: all steps that need no other row.

    Args:
        rules: what is kept.
        tokenizer: of the model that wrote the traces; each is verified against it.
        python: replays traces without their failed tries, and runs their programs' tests.
        overlap: with the evaluation sets.
        right: problems that were right without hints, if that counts.
        easy: problems that are to be answered without a call, all others with; None: as it comes.
    """

    def __init__(
        self,
        rules: Curation,
        tokenizer: Tokenizer,
        python: Interpreter,
        overlap: Overlap,
        right: frozenset[str] = frozenset(),
        easy: frozenset[str] | None = None,
    ) -> None:
        self._easy = easy
        self._rules = rules
        self._tokenizer = tokenizer
        self._python = python
        self._overlap = overlap
        self._right = right
        self._grader = Grader()
        self._overlapping: dict[str, bool] = {}

    async def inspect(self, row: Row) -> Inspected:
        """The row, with the first reason against it."""
        if row.result is None:
            return Inspected(row, "no trace")
        trace = Trace.model_validate(row.result["trace"])
        score = Score(bool(row.result["correct"]), trace)
        if self._overlaps(row):
            return Inspected(row, "overlaps with the evaluation", score)
        reason = refusal(score, self._rules)
        dropped: tuple[int, ...] = ()
        if self._rules.modify and reason == "failed code":
            trace, dropped = await without_failed_tries(trace, self._python)
        if dropped:
            score = Score(await self._is_correct(row, trace), trace)
            reason = refusal(score, self._rules) if score.correct else "wrong once modified"
        if reason is None and row.job.problem in self._right:
            reason = "right without hints"
        if reason is None and self._easy is not None:
            reason = calls_amiss(score, easy=row.job.problem in self._easy)
        if reason is None:
            try:
                verify_trace(trace, self._tokenizer)
            except TraceDrift as drift:
                reason = f"drift: {drift}"
        return Inspected(row, reason, score, dropped)

    async def _is_correct(self, row: Row, trace: Trace) -> bool:
        """Grades a trace that was modified: what was dropped may have been its answer."""
        problem = problem_of(row.job)
        _, gold = asked(problem, "plain", row.job.seed)
        verdict = await Judge(self._grader, self._python).judge(trace, problem, gold)
        return bool(verdict["correct"])

    async def aclose(self) -> None:
        """Stops the workers that graded."""
        await self._grader.aclose()

    def _overlaps(self, row: Row) -> bool:
        problem = row.job.problem
        if problem not in self._overlapping:
            found = self._overlap.find(str(row.job.input["question"]))
            self._overlapping[problem] = found is not None
        return self._overlapping[problem]
