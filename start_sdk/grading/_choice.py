"""Multiple choice: shuffles options with a seed, and keeps the letter of the correct one."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from start_sdk.errors import ConfigError
from start_sdk.values import Frozen


class Choices(Frozen):
    """The options of a problem in the order shown."""

    options: tuple[str, ...]
    letter: str
    """The letter of the correct option: the gold answer for `Grader.grade(..., kind="choice")`."""

    @property
    def letters(self) -> str:
        return string.ascii_uppercase[: len(self.options)]

    @property
    def text(self) -> str:
        """The options for a prompt, one per line: `(A) ...`."""
        pairs = zip(self.letters, self.options, strict=True)
        return "\n".join(f"({letter}) {option}" for letter, option in pairs)


def shuffled(right: str, wrong: Sequence[str], *, problem_id: str, seed: int = 0) -> Choices:
    """Shuffles the options of a problem.

    Args:
        right: the correct option.
        wrong: the other options, 1 to 9.
        problem_id: gives each problem its own order; with the seed alone, the correct option
            would have the same letter in all problems.
        seed: the seed of the whole evaluation.

    Raises:
        ConfigError: there are too few or too many options, or two are equal, or one is empty.
    """
    options = [option.strip() for option in (right, *wrong)]
    if not 2 <= len(options) <= 10:
        raise ConfigError(f"problem {problem_id} has {len(options)} options: it needs 2 to 10")
    if len(set(options)) < len(options) or "" in options:
        raise ConfigError(f"problem {problem_id}: two options are equal, or one is empty")
    random.Random(f"{seed}:{problem_id}").shuffle(options)
    letter = string.ascii_uppercase[options.index(right.strip())]
    return Choices(options=tuple(options), letter=letter)
