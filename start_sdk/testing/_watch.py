"""A watch for tests of backends."""

from __future__ import annotations

from collections.abc import Sequence

from start_sdk._text.reader import Reader
from start_sdk.formats import ReasoningFormat
from start_sdk.generation import Step


class StopsAt:
    """A `Watch` that stops a generation where a text begins, and withholds it.

    Args:
        text: what to look for.
    """

    def __init__(self, text: str) -> None:
        self._reader = Reader(
            ReasoningFormat(name="plain", think=None, tag_is_token=False, answer_markers=(text,))
        )

    @property
    def offset(self) -> int:
        return self._reader.offset

    def feed(self, text: str, token_ids: Sequence[int], *, control: bool) -> Step:
        """See `Watch.feed`."""
        return self._reader.feed(text)

    def finish(self) -> Step:
        """See `Watch.finish`."""
        return Step((), self.offset)
