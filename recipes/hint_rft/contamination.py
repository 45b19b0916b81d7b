"""Detects training problems that appear in an evaluation set.

The paper names "the Qwen2.5-Math method" without details. As far as we know that report (arXiv
2409.12122), the method is this: texts overlap if they share 13 consecutive words and, so that
common phrases do not count, if their longest common subsequence is at least 0.6 of a text. Both
numbers are settings.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\w+")


def words(text: str) -> tuple[str, ...]:
    """The words and numbers of a text, in lower case, without signs between them."""
    return tuple(_WORD.findall(text.lower()))


class Overlap:
    """Finds texts that overlap with some of these.

    Args:
        texts: the problems of the evaluation sets.
        run: words in a row that have to be the same; shorter texts count whole.
        share: of the words of the shorter text, how many have to stand in the other one, too, in
            the same order; 0 to 1.
    """

    def __init__(self, texts: Iterable[str], *, run: int = 13, share: float = 0.6) -> None:
        self._run, self._share = run, share
        self._texts = [words(text) for text in texts]
        self._with: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for i, text in enumerate(self._texts):
            for part in self._parts(text):
                self._with[part].append(i)

    def find(self, text: str) -> str | None:
        """The words of the first text that overlaps with this one; None if none does."""
        mine = words(text)
        suspects = dict.fromkeys(i for part in self._parts(mine) for i in self._with.get(part, ()))
        for i in suspects:
            other = self._texts[i]
            needed = self._share * min(len(mine), len(other))
            # Words in common, in any order, are counted much faster, and are no fewer.
            if (Counter(mine) & Counter(other)).total() < needed:
                continue
            if common_subsequence(mine, other) >= needed:
                return " ".join(other)
        return None

    def _parts(self, text: Sequence[str]) -> set[tuple[str, ...]]:
        last = max(len(text) - self._run, 0)
        return {tuple(text[i : i + self._run]) for i in range(last + 1)} if text else set()


def common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence; time is the product of the lengths."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            above = row[j]
            row[j] = diagonal + 1 if x == y else max(above, row[j - 1])
            diagonal = above
    return row[-1]
