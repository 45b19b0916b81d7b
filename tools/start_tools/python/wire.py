"""The host's side of Jupyter's protocol: sends cells and receives their output.

It uses only the session of jupyter_client, which writes, signs and reads messages. jupyter_client's
managers poll, and its clients keep channels that one kernel for one host does not need. The sockets
are ours (zmtp.py) because the kernel is not trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session

from start_sdk.protocols import ToolHost
from start_tools.python.calls import Calls
from start_tools.python.cell import Cell
from start_tools.python.output import Output
from start_tools.python.zmtp import Socket
from start_tools.sandbox.sizes import largest_message, largest_question

MAX_STRAY = 20_000_000
"""Maximum bytes of messages for no running cell, until the next cell starts. Threads of earlier
cells send them, anything can be in them, and reading takes the host's time."""
LEAST = 1 << 10
"""Bytes that such a message counts at least."""
PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4}
"""Suffixes of the sockets' names, in place of TCP ports."""


class Wire:
    """A client of one kernel. It belongs to the event loop in which it was created.

    Args:
        address: path prefix of the sockets, to which `-1` and so on is appended (`PORTS`).
        key: signs the messages.
        max_chars: characters that the kernel keeps from each end of a text.
        kill: ends the kernel; called with the reason if it sends too much.
    """

    def __init__(self, address: str, key: str, max_chars: int, kill: Callable[[str], None]) -> None:
        # The user name is part of each message, so it is not that of the host's user.
        self._session = Session(key=key.encode(), username="host", digest_history_size=64)
        self._cell: Cell | None = None
        self._stdin: Socket | None = None
        self.welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when messages from the kernel arrive."""
        self._broken = False
        self._kill = kill
        self._stray = 0
        self._address = address
        self._name = self._session.bsession
        """Identifies the shell and stdin sockets to the kernel as belonging to the same host."""
        most = largest_message(max_chars)
        self._iopub = Socket("SUB", f"{address}-{PORTS['iopub']}", most)
        self._shell = Socket("DEALER", f"{address}-{PORTS['shell']}", most, self._name)
        self._tasks = [asyncio.create_task(self._pump(s)) for s in (self._iopub, self._shell)]

    def execute(self, code: str, output: Output, tools: ToolHost | None = None) -> Cell:
        """Sends a cell without waiting for its result. One cell at a time."""
        if tools and not self._stdin:
            self._connect_stdin(max(tool.max_chars for tool in tools.tools))
        cell = self._cell = Cell(output, Calls(tools, self._reply))
        self._stray = 0
        content = {
            "code": code.encode(errors="replace").decode(),
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        cell.id = self._send("execute_request", content)
        if self._broken:
            cell.cut_off()
        return cell

    def _send(self, kind: str, content: dict[str, Any]) -> str:
        """Sends a message and returns its id."""
        channel: Any = self._shell  # a session only needs its `send_multipart`
        sent: Any = self._session.send(channel, kind, content)
        return str(sent["header"]["msg_id"])

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._shell.close()
        self._iopub.close()
        if self._stdin:
            self._stdin.close()

    def _connect_stdin(self, max_chars: int) -> None:
        """Opens the channel that only kernels with tools have."""
        path, most = f"{self._address}-{PORTS['stdin']}", largest_question(max_chars)
        self._stdin = Socket("DEALER", path, most, self._name)
        self._tasks.append(asyncio.create_task(self._pump(self._stdin)))

    async def _reply(self, value: str) -> None:
        assert self._stdin
        message = self._session.msg("input_reply", {"value": value})
        self._stdin.send_multipart(self._session.serialize(message))
        await self._stdin.drain()  # a kernel may send requests without reading the answers

    async def _pump(self, source: Socket) -> None:
        """Reads a socket as long as the kernel lives, so that nothing accumulates between cells."""
        with contextlib.suppress(OSError, EOFError, ValueError):
            while self._stray <= MAX_STRAY:
                frames = await source.recv_multipart()
                taken = False
                # Code in a cell can send anything, and so raise any exception here: unreadable
                # messages are dropped. So are those of earlier cells, such as output of a thread.
                with contextlib.suppress(Exception):
                    taken = self._take(frames)
                if not taken:
                    self._stray += max(sum(map(len, frames)), LEAST)
                # Reading an available message does not yield to other tasks.
                await asyncio.sleep(0)
        if self._stray > MAX_STRAY:
            size = f"{MAX_STRAY // 1_000_000} MB"
            self._kill(f"The kernel sent more than {size} that belong to no running cell")
        self._broken = True
        if self._cell:
            self._cell.cut_off()

    def _take(self, frames: list[bytes]) -> bool:
        """Handles a message; returns False if it belongs to no running cell."""
        parts: Any = self._session.feed_identities(frames, copy=True)[1]
        cell = self._cell if self._cell and not self._cell.done.done() else None
        # The third part names the cell; most of the time goes into parsing the others.
        if self.welcome.done() and not (cell and cell.id.encode() in parts[2]):
            return False
        message: Any = self._session.deserialize(parts)
        if message["msg_type"] == "iopub_welcome" and not self.welcome.done():
            self.welcome.set_result(None)
        if not cell or message["parent_header"].get("msg_id") != cell.id:
            return False
        cell.take(message["msg_type"], message["content"])
        return True
