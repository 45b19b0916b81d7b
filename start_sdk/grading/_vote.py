"""Which answers of a problem mean the same, for a majority vote."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

from start_sdk.grading._compare import compare_texts
from start_sdk.grading._grader import Grader
from start_sdk.grading._normalise import normalise

_LONGEST = 200
"""Characters of an answer that is compared as a formula; longer ones are programs or prose, and so
are those of several lines."""


def votes_for(answers: Sequence[str], right: int) -> list[int]:
    """How many votes each wrong answer has, answers that mean the same together.

    Computer algebra is only asked where it could change who wins against `right` votes.
    """
    counts = Counter(normalise(answer).text for answer in answers)
    forms = {normalise(answer).text: answer for answer in reversed(answers)}
    if right > counts.total() or right < max(counts.values(), default=0):
        return list(counts.values())
    return merged([forms[text] for text in counts], list(counts.values()))


def merged(answers: Sequence[str], counts: Sequence[int]) -> list[int]:
    """The counts of answers, those of equal answers added up."""
    same: dict[tuple[int, int], bool] = {}
    asked: list[tuple[int, int]] = []
    for i, j in combinations(range(len(answers)), 2):
        verdict = compare_texts(answers[i], answers[j])
        same[i, j] = verdict is not None and verdict.correct
        if verdict is None and all(_is_short(answers[k]) for k in (i, j)):
            asked.append((i, j))
    if asked:
        with ThreadPoolExecutor(1) as pool:  # the caller's thread may run an event loop
            found = pool.submit(asyncio.run, _compared(answers, asked)).result()
        same |= dict(zip(asked, found, strict=True))
    first = list(range(len(answers)))
    for (i, j), equal in same.items():
        if equal and first[j] == j:
            first[j] = first[i]
    groups = Counter[int]()
    for i, count in enumerate(counts):
        groups[first[i]] += count
    return list(groups.values())


def _is_short(answer: str) -> bool:
    return len(answer) <= _LONGEST and "\n" not in answer


async def _compared(answers: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[bool]:
    async with Grader() as grader:
        return await asyncio.gather(*(grader.same(answers[i], answers[j]) for i, j in pairs))
