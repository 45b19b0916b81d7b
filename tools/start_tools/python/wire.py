"""Jupyter's protocol from the host's side: cells go out, what they do comes in.

Of jupyter_client only the session is used, which writes, signs and reads messages. Its managers
poll, and its clients keep channels that one kernel for one host does not need. The sockets are ours
(zmtp.py): the kernel is not to be trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from jupyter_client.session import Session

from start_sdk.protocols import ToolHost
from start_tools.python.calls import Calls
from start_tools.python.cell import Cell
from start_tools.python.output import Output
from start_tools.python.zmtp import Socket
from start_tools.sandbox.sizes import largest_message, largest_question

PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4}
"""Ends of the sockets' names, in place of TCP ports."""


class Wire:
    """A client of one kernel. It belongs to the event loop in which it was made.

    Args:
        address: a path, to which `-1` and so on is added (`PORTS`).
        key: signs the messages.
        max_chars: characters of a text that the kernel keeps from either end.
    """

    def __init__(self, address: str, key: str, max_chars: int) -> None:
        # Its name goes along with each message: not that of the host's user.
        self._session = Session(key=key.encode(), username="host", digest_history_size=64)
        self._cell: Cell | None = None
        self._stdin: Socket | None = None
        self.welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when what the kernel sends arrives here."""
        self._broken = False
        self._address = address
        self._name = self._session.bsession
        """By this the kernel knows that shell and stdin are of the same host."""
        most = largest_message(max_chars)
        self._iopub = Socket("SUB", f"{address}-{PORTS['iopub']}", most)
        self._shell = Socket("DEALER", f"{address}-{PORTS['shell']}", most, self._name)
        self._tasks = [asyncio.create_task(self._pump(s)) for s in (self._iopub, self._shell)]

    def execute(self, code: str, output: Output, tools: ToolHost | None = None) -> Cell:
        """Sends a cell, which is not awaited here. One at a time."""
        if tools and not self._stdin:
            self._connect_stdin(max(tool.max_chars for tool in tools.tools))
        cell = self._cell = Cell(output, Calls(tools, self._reply))
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

    def wake(self) -> None:
        """Sends a message that asks for nothing much."""
        self._send("kernel_info_request", {})

    def _send(self, kind: str, content: dict[str, Any]) -> str:
        """Returns the message's id."""
        channel: Any = self._shell  # all that a session asks of one is `send_multipart`
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
        """Only kernels whose cells can call tools have the channel."""
        path, most = f"{self._address}-{PORTS['stdin']}", largest_question(max_chars)
        self._stdin = Socket("DEALER", path, most, self._name)
        self._tasks.append(asyncio.create_task(self._pump(self._stdin)))

    async def _reply(self, value: str) -> None:
        assert self._stdin
        message = self._session.msg("input_reply", {"value": value})
        self._stdin.send_multipart(self._session.serialize(message))
        await self._stdin.drain()  # a kernel may ask, and read no answers

    async def _pump(self, source: Socket) -> None:
        """Reads a socket as long as the kernel lives, so that nothing piles up between cells."""
        with contextlib.suppress(OSError, EOFError, ValueError):
            while True:
                frames = await source.recv_multipart()
                # Code in a cell can send what it likes, and so raise anything here: what cannot be
                # read is dropped. So is what belongs to an earlier cell, say output of a thread.
                with contextlib.suppress(Exception):
                    self._take(frames)
                # A message that is there already is read without a pause: let others work too.
                await asyncio.sleep(0)
        self._broken = True
        if self._cell:
            self._cell.cut_off()

    def _take(self, frames: list[bytes]) -> None:
        _, parts = self._session.feed_identities(frames, copy=True)
        message: Any = self._session.deserialize(parts)
        if message["msg_type"] == "iopub_welcome" and not self.welcome.done():
            self.welcome.set_result(None)
        cell = self._cell
        if cell and message["parent_header"].get("msg_id") == cell.id:
            cell.take(message["msg_type"], message["content"])
