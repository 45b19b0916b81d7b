"""Detects training problems that appear in an evaluation set.

The paper names "the Qwen2.5-Math method" without details. As far as we know that report (arXiv
2409.12122), the method is this: texts overlap if they share 13 consecutive words and, so that
common phrases do not count, if their longest common subsequence is at least 0.6 of a text. Both
numbers are settings.

A text of fewer words can share no such run. Our rule for it: the texts overlap if one contains the
other whole, numbers included, so "What is 12*13?" is not "What is 12*14?", nor "What is 12*13*14?".
But "Find x." is in many problems: what is contained has to be 0.6 of the text that contains it, or
to have four words, one of them a number.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese and Japanese
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")
_BETWEEN_NUMBERS = re.compile(r"(?<=\d) (?=\d)")
TELLING = 4
"""Words, one of them a number, that hardly stand in two different problems."""


def words(text: str) -> tuple[str, ...]:
    """The words and numbers of a text, in lower case, without signs between them.

    Where a script puts no spaces between words, each character counts as one.
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).lower()))


class Overlap:
    """Finds texts that overlap with some of these.

    Args:
        texts: the problems of the evaluation sets.
        run: words in a row that have to be the same; of a shorter text, all.
        share: of the words of the shorter text, how many have to stand in the other one, too, in
            the same order; of a text shorter than `run`, what share of the longer text it has to
            be; 0 to 1.
    """

    def __init__(self, texts: Iterable[str], *, run: int = 13, share: float = 0.6) -> None:
        self._run, self._share = run, share
        self._texts = list(dict.fromkeys(filter(None, map(words, texts))))
        self._counts = list(map(Counter, self._texts))
        self._with_run: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._with_word: dict[str, list[int]] = defaultdict(list)
        self._short_by_rarest: dict[str, list[int]] = defaultdict(list)
        for i, text in enumerate(self._texts):
            for part in self._runs(text):
                self._with_run[part].append(i)
            for word in {*text}:
                self._with_word[word].append(i)
        for i, text in enumerate(self._texts):
            if len(text) < run:
                self._short_by_rarest[self._rarest(text)].append(i)

    def find(self, text: str) -> str | None:
        """The words of the first text that overlaps with this one; None if none does."""
        mine = words(text)
        found = next(self._with_common_run(mine), None) or next(self._with_whole(mine), None)
        return " ".join(found) if found else None

    def _with_common_run(self, mine: Sequence[str]) -> Iterator[Sequence[str]]:
        count = Counter(mine)
        for i in _distinct(self._with_run.get(part, ()) for part in self._runs(mine)):
            other = self._texts[i]
            needed = self._share * min(len(mine), len(other))
            # Words in common, in any order, are counted much faster, and are no fewer.
            shared = (count & self._counts[i]).total()
            if shared >= needed and common_subsequence(mine, other) >= needed:
                yield other

    def _with_whole(self, mine: Sequence[str]) -> Iterator[Sequence[str]]:
        """Texts that contain this one or are in it, if the one inside is short."""
        candidates = [self._short_by_rarest.get(word, ()) for word in {*mine}]
        if mine and len(mine) < self._run:
            candidates.append(self._with_word.get(self._rarest(mine), ()))
        for i in _distinct(candidates):
            inner, outer = sorted((mine, self._texts[i]), key=len)
            numbered = any(map(str.isdigit, "".join(inner)))
            telling = numbered and len(inner) >= TELLING
            if (telling or len(inner) >= self._share * len(outer)) and _in(inner, outer):
                yield self._texts[i]

    def _rarest(self, text: Sequence[str]) -> str:
        """A word that leads to as few texts as possible."""
        return min(text, key=lambda word: len(self._with_word.get(word, ())))

    def _runs(self, text: Sequence[str]) -> set[tuple[str, ...]]:
        return {tuple(text[i : i + self._run]) for i in range(len(text) - self._run + 1)}


def _distinct(groups: Iterable[Sequence[int]]) -> list[int]:
    return sorted({i for group in groups for i in group})


def _in(inner: Sequence[str], outer: Sequence[str]) -> bool:
    """Whether words stand in others in a row; numbers in a row are one, which must be the same."""
    one, other = (_BETWEEN_NUMBERS.sub(",", f" {' '.join(text)} ") for text in (inner, outer))
    return one in other


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
