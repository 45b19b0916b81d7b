"""Streams that a watch stopped, and that stay open in case they are read on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from start_sdk.backends.openai._pieces import Piece, Pieces


class Parking:
    """Keeps one stream for each session."""

    def __init__(self) -> None:
        self._streams: dict[str, tuple[list[int], Piece, Pieces]] = {}

    async def enter(self, key: str, token_ids: Sequence[int], rest: Piece, stream: Pieces) -> None:
        """Keeps a stream.

        Args:
            key: of its session.
            token_ids: the prefix, and all that was taken from the stream.
            rest: what was not taken from its last piece.
            stream: closed when the session is released, or continues with something else.
        """
        await self.drop(key)
        self._streams[key] = list(token_ids), rest, stream

    async def leave(self, key: str | None, prefix_ids: Sequence[int]) -> Pieces | None:
        """The rest of a session's stream, if it follows this prefix; any other is closed."""
        if key not in self._streams:
            return None
        if self._streams[key][0] == list(prefix_ids):
            _, rest, stream = self._streams.pop(key)
            return _rest(rest, stream)
        await self.drop(key)
        return None

    async def drop(self, key: str) -> None:
        """Closes a session's stream, if it has one."""
        if key in self._streams:
            await self._streams.pop(key)[2].aclose()

    async def aclose(self) -> None:
        """Closes all streams."""
        for key in list(self._streams):
            await self.drop(key)


async def _rest(first: Piece, stream: Pieces) -> Pieces:
    async with aclosing(stream):
        if first.token_ids or first.finish:
            yield first
        async for piece in stream:
            yield piece
