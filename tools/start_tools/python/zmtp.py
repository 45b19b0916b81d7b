"""One end of a ZeroMQ connection (ZMTP 3.0, rfc.zeromq.org/spec/23), over a unix socket.

This replaces libzmq because the other end belongs to hostile code. libzmq bounds the size of a part
but not of a message of many parts, and receives messages before anybody requests them: a cell could
grow its host by a gigabyte. Here, unrequested data stays in the socket's buffer, and a message that
is too large ends the connection before it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

RETRY = 0.01
"""Seconds between connection attempts; a plain kernel starts to listen after half a second."""
FRAME = 64
"""Bytes counted per frame in addition to its content, so that empty frames count too."""
_MORE, _LONG, _COMMAND = 1, 2, 4
_GREETING = bytes([0xFF, *[0] * 8, 0x7F, 3, 0]) + b"NULL".ljust(20, b"\0") + bytes(32)


def _frame(body: bytes, flags: int = 0) -> bytes:
    if len(body) > 0xFF:
        return bytes([flags | _LONG]) + len(body).to_bytes(8, "big") + body
    return bytes([flags, len(body)]) + body


def _ready(kind: str, identity: bytes) -> bytes:
    metadata = b""
    for name, value in ((b"Socket-Type", kind.encode()), (b"Identity", identity)):
        metadata += bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
    return _frame(b"\5READY" + metadata, _COMMAND)


class Socket:
    """Connects as soon as the peer listens. It belongs to the event loop in which it was created.

    Args:
        kind: `DEALER`, or `SUB`, which subscribes to everything.
        path: path of the unix socket.
        largest: maximum size in bytes of a message.
        identity: a name by which the peer can address this end.
    """

    def __init__(self, kind: str, path: str, largest: int, identity: bytes = b"") -> None:
        self._largest = largest
        self._unsent = [_frame(b"\1")] if kind == "SUB" else []
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.create_task(self._connect(kind, path, identity))

    def send_multipart(self, frames: Sequence[bytes], **_: object) -> None:
        """Sends a message, or queues it until the connection exists."""
        *first, last = frames
        data = b"".join([*[_frame(bytes(part), _MORE) for part in first], _frame(bytes(last))])
        if self._writer:
            self._writer.write(data)
        else:
            self._unsent.append(data)

    async def drain(self) -> None:
        """Waits until most of what was sent has left the buffer."""
        if self._writer:
            await self._writer.drain()

    async def recv_multipart(self) -> list[bytes]:
        """Receives the next message.

        Raises:
            EOFError, OSError: the connection has ended.
            ValueError: the data is too large, or is not a message; nothing more can be read.
        """
        reader = await asyncio.shield(self._connected)
        frames: list[bytes] = []
        room = self._largest
        while True:
            flags, body = await _read(reader, room)
            if flags & ~(_MORE | _LONG):
                raise ValueError("received a command instead of a message")
            frames.append(body)
            room -= len(body) + FRAME
            if not flags & _MORE:
                return frames

    def close(self) -> None:
        self._connected.cancel()
        if self._writer:
            self._writer.transport.abort()

    async def _connect(self, kind: str, path: str, identity: bytes) -> asyncio.StreamReader:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(RETRY)
        try:
            writer.write(_GREETING)
            # Not earlier: libzmq treats data that arrives with the greeting as an error.
            await reader.readexactly(len(_GREETING))
            writer.write(_ready(kind, identity))
            flags, _ = await _read(reader, 1 << 10)
            if not flags & _COMMAND:
                raise ValueError("received a message instead of a command")
        except BaseException:
            writer.transport.abort()
            raise
        writer.write(b"".join(self._unsent))
        self._writer = writer
        return reader


async def _read(reader: asyncio.StreamReader, room: int) -> tuple[int, bytes]:
    """Reads a frame and returns its flags and content."""
    flags = (await reader.readexactly(1))[0]
    size = int.from_bytes(await reader.readexactly(8 if flags & _LONG else 1), "big")
    if size > room:
        raise ValueError("a message is too large")
    return flags, await reader.readexactly(size)
