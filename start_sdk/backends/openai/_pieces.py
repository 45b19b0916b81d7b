"""What the events of a stream bring, and how a stream ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

from start_sdk.backends._http import DONE, QUIET, Connection, Json, ServerError

LINGER = 2.0
"""Seconds to wait for the usage, after the text has ended."""

_ENDS: dict[str, Literal["stop", "length"]] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence", "complete"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length", "max_output_tokens"), "length"),
}
"""Finish reasons of all servers, in lower case, and what they mean."""
_GIVEN_UP = ("abort", "error", "network_error", "insufficient_system_resource", "cancelled")
"""The server failed: another try may help."""


class EndedEarly(ServerError):
    """A stream ended without an error, and without saying that the text is complete."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The content of one event."""

    token_ids: Sequence[int] = ()
    logprobs: Sequence[float] | None = None
    finish: Literal["stop", "length", "done"] | None = None
    """How the text ended; "done" if the server says only that its stream is complete."""
    cached: int | None = None


Pieces = AsyncGenerator[Piece, None]


async def pieces(
    server: Connection,
    events: AsyncGenerator[Json, None],
    read: Callable[[Json], Piece],
    rest: Callable[[], Piece],
    timeout: float,
) -> Pieces:
    """Reads a stream to its end; each piece has tokens or is the last one.

    The last piece is held back for the usage, which arrives after it. What else comes after it,
    and choices other than the first, are ignored.

    Args:
        server: sends the events.
        events: closed at the end.
        read: makes a piece of the first choice of an event.
        rest: what it still holds when the text has ended.
        timeout: the server's, in seconds.

    Raises:
        ServerError: the stream ended before the text did, or does not follow the protocol.
    """
    last: Piece | None = None
    cached: int | None = None
    heard = time.monotonic()
    async with aclosing(events):
        while (event := await _next(events, ended=last is not None)) is not None:
            if event is DONE:
                last = last or Piece(finish="done")
                break
            cached = _cached(event) if cached is None else cached
            choice = _first_choice(server, event)
            if choice is None or last:
                continue
            piece, finish = read(choice), _finish(server, choice)
            if finish in _ENDS:
                last = replace(piece, finish=_ENDS[finish])
                continue
            if piece.token_ids:
                heard = time.monotonic()
                yield piece
            elif time.monotonic() - heard > QUIET * timeout:
                raise server.error("sends events without text", transient=True)
            if finish:
                raise server.error(f"gave up (finish_reason {finish!r})", transient=True)
    if last is None:
        raise EndedEarly(str(server.error("ended its stream early")), transient=True)
    if (held := rest()).token_ids:
        yield held
    yield replace(last, cached=cached)


async def _next(events: AsyncGenerator[Json, None], *, ended: bool) -> Json | None:
    """The next event; None at the end. After the end of the text nothing can go wrong any more."""
    try:
        async with asyncio.timeout(LINGER if ended else None):
            return await anext(events, None)
    except (TimeoutError, ServerError):
        if not ended:
            raise
        return None


def _first_choice(server: Connection, event: Json) -> Json | None:
    """None for events without one, such as those that only report usage."""
    choices = event.get("choices") or ()
    if not isinstance(choices, list | tuple) or not all(isinstance(c, dict) for c in choices):
        raise server.error(f"did not follow the protocol: choices are {str(choices)[:80]!r}")
    return next((c for c in choices if c.get("index") in (None, 0, "0")), None)


def _finish(server: Connection, choice: Json) -> str | None:
    word = choice.get("finish_reason")
    if not word:
        return None
    name = str(word).lower()
    if name not in _ENDS and name not in _GIVEN_UP:
        raise server.error(f"ended the text with finish_reason {str(word)!r}: it is not complete")
    return name


def _cached(event: Json) -> int | None:
    """Tokens of the prompt that were in the server's cache, if the event reports them."""
    usage: Any = event.get("usage") or {}
    details: Any = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    if not details:
        return None
    found = details.get("cached_tokens") if isinstance(details, dict) else None
    return found if isinstance(found, int) else 0
