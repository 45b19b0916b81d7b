"""Detects training problems that appear in an evaluation set.

START (arXiv 2503.04625) names "the Qwen2.5-Math method" without details. As far as we know that
report (arXiv 2409.12122), the method is this: texts overlap if they share 13 consecutive words and,
so that common phrases do not count, if their longest common subsequence is at least 0.6 of a text.
Both numbers are settings.

A text of fewer words can share no such run. Our rule for it: the texts overlap if one contains the
other whole, numbers included, so "What is 12*13?" is not "What is 12*14?", nor "What is 12*13*14?".
But "Find x." is in many problems: what is contained has to be 0.6 of the text that contains it, or
to have four words, one of them a number. Signs do not count, so "What is 12+13?" overlaps with
"What is 12-13?": rather a problem too few in training than one of the evaluation.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from start_sdk.errors import ConfigError

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese and Japanese
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+")
_BETWEEN_NUMBERS = re.compile(r"(?<=\d) (?=\d)")
_TELLING = 4
"""Words, one of them a number, that hardly stand in two different problems."""


def words(text: str) -> tuple[str, ...]:
    """The words and numbers of a text, in lower case, without signs between them.

    Where a script puts no spaces between words, each character counts as one.
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).lower()))


class Overlap:
    """Finds texts that overlap with some of these: `text in Overlap(texts)`.

    Args:
        texts: the problems of the evaluation sets.
        run: words in a row that have to be the same; of a shorter text, all.
        share: of the words of the shorter text, how many have to stand in the other one, too, in
            the same order; of a text shorter than `run`, what share of the longer text it has to
            be; 0 to 1.

    Raises:
        ConfigError: `run` or `share` is out of range.
    """

    def __init__(self, texts: Iterable[str], *, run: int = 13, share: float = 0.6) -> None:
        if run < 1 or not 0 <= share <= 1:
            raise ConfigError(f"run={run}, share={share}: needs run >= 1 and 0 <= share <= 1")
        self._run, self._share = run, share
        self._texts = list(dict.fromkeys(filter(None, map(words, texts))))
        self._spelled = list(map(_spelled, self._texts))
        self._with_run: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for i, text in enumerate(self._texts):
            for part in self._runs(text):
                self._with_run[part].append(i)

    def __contains__(self, text: str) -> bool:
        mine = words(text)
        alike = {i for part in self._runs(mine) for i in self._with_run.get(part, ())}
        return any(self._in_order(mine, self._texts[i]) for i in alike) or self._whole(mine)

    def _in_order(self, mine: Sequence[str], other: Sequence[str]) -> bool:
        needed = self._share * min(len(mine), len(other))
        # Words in common, in any order, are counted much faster, and are no fewer.
        shared = (Counter(mine) & Counter(other)).total()
        return shared >= needed and _common_subsequence(mine, other) >= needed

    def _whole(self, mine: Sequence[str]) -> bool:
        """Whether this is in one of the texts, or contains one, and the one inside is short."""
        spelled = _spelled(mine)
        for other, text in zip(self._texts, self._spelled, strict=True):
            if spelled in text or text in spelled:
                inner, outer = sorted((mine, other), key=len)
                telling = len(inner) >= _TELLING and any(map(str.isdigit, "".join(inner)))
                if len(inner) < self._run and (telling or len(inner) >= self._share * len(outer)):
                    return True
        return False

    def _runs(self, text: Sequence[str]) -> set[tuple[str, ...]]:
        return {tuple(text[i : i + self._run]) for i in range(len(text) - self._run + 1)}


def _spelled(text: Sequence[str]) -> str:
    """Words as a text, to be looked for in others; numbers in a row are one, that has to be the
    same."""
    return _BETWEEN_NUMBERS.sub(",", f" {' '.join(text)} ")


def _common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest common subsequence; time is the product of the lengths."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            above = row[j]
            row[j] = diagonal + 1 if x == y else max(above, row[j - 1])
            diagonal = above
    return row[-1]
