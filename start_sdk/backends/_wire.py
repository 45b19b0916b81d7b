"""What servers send, out of bytes and within limits: answers, and streams of events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

MAX_BYTES = 8 << 20
"""Of one event. The largest that servers send repeat the ids of the prompt."""

MAX_ANSWER = 32 << 20
"""Bytes of an answer that is not a stream."""

_TOO_LARGE = f"an event has more than {MAX_BYTES >> 20} MiB"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_OTHER_FIELDS = ("id", "retry", "")  # "" begins a comment, which keeps a connection alive


class Event(NamedTuple):
    """One event: its name ("" if it has none) and its data."""

    name: str
    data: str


class EventStream:
    """Splits a byte stream into events.

    Attributes:
        stray: the lines that are not of this format: the server sent something else.
    """

    def __init__(self) -> None:
        self.stray = bytearray()
        self._rest = b""
        self._after_cr = False
        self._name = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete.

        Raises:
            ValueError: an event is larger than `MAX_BYTES`, or is not UTF-8.
        """
        if not data:
            return
        if self._after_cr and data[:1] == b"\n":  # the second half of a line end
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        lines = _LINE_END.split(data)
        lines[0] = self._rest + lines[0]
        self._rest = lines.pop()
        for line in lines:
            if event := self._read(line):
                yield event
        if len(self._rest) + self._size > MAX_BYTES:
            raise ValueError(_TOO_LARGE)

    def end(self) -> Iterator[Event]:
        """What the connection's end leaves, which may be cut off; some servers omit the last
        blank line."""
        cut = any(name.startswith(self._rest) for name in (b"data", b"event", b"retry"))
        for line in (b"" if cut else self._rest, b""):
            if event := self._read(line, errors="replace"):
                yield event
        self._rest = b""

    def _read(self, line: bytes, errors: str = "strict") -> Event | None:
        if not line:
            return self._complete()
        text = line.decode(errors=errors).removeprefix("\ufeff")
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._name = value
        elif name == "error":  # llama.cpp's servers before 2025-11
            self._name = "error"
            self._data.append(value)
        elif name not in _OTHER_FIELDS:
            self.stray += line + b"\n"
        else:
            return None  # comments may go on for as long as they keep the time limit
        self._size += len(line)
        if self._size > MAX_BYTES or len(self.stray) > MAX_BYTES:
            raise ValueError(_TOO_LARGE)
        return None

    def _complete(self) -> Event | None:
        event = Event(self._name, "\n".join(self._data))
        self._name, self._data, self._size = "", [], 0
        return event if event.data.strip() else None


def is_json(text: str) -> bool:
    """Whether a text is complete JSON."""
    with suppress(ValueError, RecursionError):
        json.loads(text)
        return True
    return False
