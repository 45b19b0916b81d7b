"""Looks at rows one by one: scores, filters, modifies and grades again what was modified.

START's "score" and "filter" (section 3) are not disclosed; the rules are ours.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from recipes.hint_rft.modify import without_failed_tries
from recipes.questions import Judge, asked, problem_of
from recipes.settings import Curation
from start_sdk import Interpreter, Tokenizer, Trace, TraceDrift, verify_trace
from start_sdk.batch import Row
from start_sdk.grading import Grader
from start_sdk.grading.contamination import Overlap
from start_sdk.session import repeats

_OUTPUT = re.compile(r"^`{3,}output\b", re.MULTILINE)
_BINDING = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign,
    ast.AnnAssign, ast.AugAssign, ast.NamedExpr, ast.Assert,
)  # fmt: skip


def measured(trace: Trace, *, correct: bool) -> dict[str, int]:
    """The score of a graded trace.

    `calls` counts the cells, `failed` those that raised, ran too long or died, and `void` those
    that said nothing and left nothing for later ones; `written` the tokens of the model, `tokens`
    those of the whole trace, its prompt included.
    """
    good = [call for call in trace.calls if call.status == "ok"]
    return {
        "correct": correct,
        "calls": len(trace.calls),
        "failed": len(trace.calls) - len(good),
        # SimpleTIR (arXiv 2509.02479) drops trajectories with void turns, which have neither code
        # nor an answer; a cell that defines a function is no such turn.
        "void": sum(not call.output.strip() and not binds(call.code) for call in good),
        "written": trace.usage.model,
        "tokens": len(trace.token_ids),
    }


def binds(code: str) -> bool:
    """Whether code defines, imports, assigns or asserts anything.

    What Python cannot parse (IPython's own syntax) does not.
    """
    try:
        return any(isinstance(node, _BINDING) for node in ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def timeless(trace: Trace) -> dict[str, Any]:
    """A trace as JSON, without what it cost: equal seeds give equal files."""
    made = trace.model_dump(mode="json") | {"seconds": {}, "idle": 0.0, "recomputed": None}
    for call in filter(None, (segment["call"] for segment in made["segments"])):
        for timed in (call, *call["tool_calls"]):
            timed["seconds"] = 0.0
    return made


@dataclass
class Inspector:
    """Looks at rows one by one: all steps that need no other row.

    Attributes:
        rules: what is kept.
        tokenizer: of the model that wrote the traces; each is verified against it.
        python: replays traces without their failed tries, and runs their programs' tests.
        grader: grades what was modified.
        overlap: with the evaluation sets.
        right: problems that were right without hints, if that counts.
        easy: problems that are to be answered without a call, all others with; None: as it comes.
    """

    rules: Curation
    tokenizer: Tokenizer
    python: Interpreter
    grader: Grader
    overlap: Overlap
    right: Set[str] = frozenset()
    easy: Set[str] | None = None

    async def inspect(self, row: Row) -> tuple[dict[str, Any], Trace | None]:
        """What is written of a row, with the first reason against it; its trace, maybe modified."""
        audit: dict[str, Any] = {
            **row.job.parts,
            "family": row.job.input.get("family", ""),
            "reason": "no trace",
            "error": row.error,
            "trace_id": None,
            "score": None,
            "dropped": [],
        }
        if row.result is None:
            return audit, None
        trace = Trace.model_validate(row.result["trace"])
        score = measured(trace, correct=bool(row.result["correct"]))
        reason = self._refusal(row, trace, score)
        audit |= {"reason": reason, "trace_id": trace.id, "score": score}
        if self.rules.modify and reason == "failed code":
            trace, dropped = await without_failed_tries(trace, self.python)
            if dropped:  # with them perhaps the answer
                problem = problem_of(row.job)
                _, gold = asked(problem, "plain", row.job.seed)
                verdict = await Judge(self.grader, self.python).judge(trace, problem, gold)
                score = measured(trace, correct=bool(verdict["correct"]))
                reason = self._refusal(row, trace, score)
                reason = reason if score["correct"] else "wrong once modified"
                audit |= {"reason": reason, "score": score, "dropped": list(dropped)}
        return audit, trace

    def _refusal(self, row: Row, trace: Trace, score: dict[str, int]) -> str | None:
        """The first reason not to train on a trace; None for a good one."""
        rules, calls = self.rules, score["calls"]
        written = [segment for segment in trace.segments if segment.source == "model"]
        notices = {segment.notice for segment in trace.segments}
        easy = self.easy is not None and row.job.problem in self.easy
        reasons = {
            "overlaps with the evaluation": str(row.job.input["question"]) in self.overlap,
            "not token-exact": not trace.exact,
            "wrong answer": not score["correct"],
            # That something is used up is a limit; that the answer is asked for is none.
            "ended by a limit": trace.finish not in ("eos", "concluded")
            or notices - {None, "conclusion"},
            "no code": rules.needs_call and not calls,
            "repetitive": any(repeats(s.token_ids, rules.repeats) for s in written),
            # Only a cell may write one.
            "output written by the model": any(_OUTPUT.search(s.text) for s in written),
            "failed code": score["failed"] / max(calls, 1) > rules.max_error_rate,
            "void code": score["void"],
            "too long": score["tokens"] > rules.max_tokens,
            "right without hints": row.job.problem in self.right,
            "code for an easy problem": easy and calls,
            "no code for a hard problem": self.easy is not None and not easy and not calls,
        }
        if found := next((reason for reason, holds in reasons.items() if holds), None):
            return found
        try:
            verify_trace(trace, self.tokenizer)
        except TraceDrift as drift:
            return f"drift: {drift}"
        return None
