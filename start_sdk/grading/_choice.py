"""Multiple choice: options in an order that a seed decides, as text, with the right letter."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from start_sdk.errors import ConfigError
from start_sdk.trace import Frozen


class Choices(Frozen):
    """The options of a problem in the order in which they are shown."""

    options: tuple[str, ...]
    letter: str
    """Of the right option: the gold answer for `Grader.grade(..., kind="choice")`."""

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
        right: the right option.
        wrong: the others, 1 to 9.
        problem_id: shuffles each problem in its own way; with the seed alone, the right option
            would stand at the same letter in all of them.
        seed: of the whole evaluation.

    Raises:
        ConfigError: too few or too many options, or two that are equal.
    """
    options = [option.strip() for option in (right, *wrong)]
    if not 2 <= len(options) <= 10:
        raise ConfigError(f"problem {problem_id}: {len(options)} options, not 2 to 10")
    if len(set(options)) < len(options) or "" in options:
        raise ConfigError(f"problem {problem_id}: two options are equal, or one is empty")
    random.Random(f"{seed}:{problem_id}").shuffle(options)
    letter = string.ascii_uppercase[options.index(right.strip())]
    return Choices(options=tuple(options), letter=letter)
