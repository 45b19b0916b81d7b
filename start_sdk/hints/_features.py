"""Features of a thought that are available before its answer is graded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from math import log1p

from start_sdk._text.boxes import last_boxed
from start_sdk.trace import Trace

FEATURES = (
    "tokens", "paragraphs", "doubts", "operations", "digits", "differing", "unsettled", "surprise",
    "worst_surprise", "calls",
)  # fmt: skip
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_DOUBT = re.compile(r"\b(?:wait|hmm|but|alternatively|maybe|not sure)\b", re.IGNORECASE)


def results(thought: str) -> list[str]:
    """Returns the last number of each paragraph that contains a calculation, in order; boxes too.

    In a long thought each paragraph is an attempt, or a check of one, and ends with its result.
    """
    found: list[str] = []
    for paragraph in thought.split("\n\n"):
        boxed = last_boxed(paragraph)
        numbers = _NUMBER.findall(paragraph)
        if boxed is not None:
            found.append(boxed)
        elif numbers and "=" in paragraph:
            found.append(numbers[-1].replace(",", ""))
    return found


def surprisals(trace: Trace) -> list[float]:
    """Minus the log probability of each sampled token, in nats; [] without logprobs."""
    return [-p for s in trace.segments for p in s.logprobs or () if s.phase == "thinking"]


def features(trace: Trace) -> dict[str, float]:
    """Computes features of a thought for policies; none uses the problem's kind or answer.

    `doubts`: words such as "wait"; `differing`: results that differ from the previous one;
    `unsettled`: 1 if the last two results differ or there are fewer than two; `digits`: digits of
    the longest number; `surprise`: mean surprisal in nats; `worst_surprise`: the largest mean over
    windows of 8 tokens (both 0 without logprobs). All counts are log(1 + n).
    """
    thought = trace.thinking
    found, nats = results(thought), surprisals(trace)
    windows = [_mean(nats[i : i + 8]) for i in range(0, len(nats), 8)]
    numbers = _NUMBER.findall(thought)
    differing = sum(a != b for a, b in pairwise(found))
    return {
        "tokens": log1p(sum(len(s.token_ids) for s in trace.segments if s.phase == "thinking")),
        "paragraphs": log1p(thought.count("\n\n")),
        "doubts": log1p(len(_DOUBT.findall(thought))),
        "operations": log1p(len(re.findall(r"\d\s*[-+*/^×·÷]\s*\d", thought))),
        "digits": float(max((len(n.strip("-").partition(".")[0]) for n in numbers), default=0)),
        "differing": log1p(differing),
        "unsettled": float(len(found) < 2 or found[-1] != found[-2]),
        "surprise": _mean(nats),
        "worst_surprise": max(windows, default=0.0),
        "calls": log1p(len(trace.calls)),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
