"""Jupyter's protocol from the host's side: cells go out, what they do comes in.

Of jupyter_client only the session is used, which writes, signs and reads messages. Its managers
poll, and its clients keep channels that one kernel for one host does not need.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.session import Session

from start_sdk.protocols import ToolHost
from start_tools.python.calls import Calls
from start_tools.python.cell import Cell
from start_tools.python.output import Output

MAX_MESSAGE = 16 << 20
"""Bytes of a message. The kernel's side keeps them small; this holds if a cell gets around it."""
PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4}
"""Ends of the sockets' names, in place of TCP ports."""
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What a message that is not signed or not well formed raises where it is read."""

_contexts: dict[int, zmq.asyncio.Context] = {}


def context() -> zmq.asyncio.Context:
    """The one of this process, for all its event loops: each has threads of its own."""
    if os.getpid() not in _contexts:
        made = zmq.asyncio.Context()
        made.set(zmq.MAX_SOCKETS, 1 << 14)
        made.setsockopt(zmq.LINGER, 0)
        made.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        made.setsockopt(zmq.RCVHWM, 0)  # read at once, and bounded by what a cell may write
        made.setsockopt(zmq.RECONNECT_IVL, 10)  # ms; a plain kernel listens after half a second
        _contexts[os.getpid()] = made
    return _contexts[os.getpid()]


class Wire:
    """A client of one kernel. It belongs to the event loop in which it was made.

    Args:
        address: a path, to which `-1` and so on is added (`PORTS`).
        key: signs the messages.
    """

    def __init__(self, address: str, key: str) -> None:
        self._session = Session(key=key.encode())
        self._cell: Cell | None = None
        self._stdin: zmq.asyncio.Socket | None = None
        self.welcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when what the kernel sends arrives here."""
        self._address = address
        self._shell = context().socket(zmq.DEALER)
        self._shell.identity = self._session.bsession  # by which the kernel finds our stdin, too
        self._iopub = context().socket(zmq.SUB)
        self._iopub.subscribe(b"")
        self._iopub.connect(f"ipc://{address}-{PORTS['iopub']}")
        self._shell.connect(f"ipc://{address}-{PORTS['shell']}")
        self._tasks = [asyncio.create_task(self._pump(s)) for s in (self._iopub, self._shell)]

    def execute(self, code: str, output: Output, tools: ToolHost | None = None) -> Cell:
        """Sends a cell, which is not awaited here. One at a time."""
        if tools and not self._stdin:
            self._connect_stdin()
        cell = self._cell = Cell(output, Calls(tools, self._reply))
        content = {
            "code": code.encode(errors="replace").decode(),
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        sent: Any = self._session.send(self._shell, "execute_request", content)
        cell.id = sent["header"]["msg_id"]
        return cell

    def wake(self) -> None:
        """Sends a message that asks for nothing much."""
        self._session.send(self._shell, "kernel_info_request", {})

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._shell.close()
        self._iopub.close()
        if self._stdin:
            self._stdin.close()

    def _connect_stdin(self) -> None:
        """Only kernels whose cells can call tools have the channel."""
        self._stdin = context().socket(zmq.DEALER)
        self._stdin.identity = self._session.bsession
        self._stdin.connect(f"ipc://{self._address}-{PORTS['stdin']}")
        self._tasks.append(asyncio.create_task(self._pump(self._stdin)))

    async def _reply(self, value: str) -> None:
        assert self._stdin
        message = self._session.msg("input_reply", {"value": value})
        # Not `Session.send`, which blocks when a kernel sends questions and reads no answers.
        await self._stdin.send_multipart(self._session.serialize(message))

    async def _pump(self, source: zmq.asyncio.Socket) -> None:
        """Reads a socket as long as the kernel lives, so that nothing piles up between cells."""
        while True:
            # Code in a cell can send what it likes: what cannot be read is dropped, and so is what
            # belongs to an earlier cell, say output of a thread.
            with contextlib.suppress(*MALFORMED):
                self._take(await source.recv_multipart())
            # A message that is there already is read without a pause: let others work too.
            await asyncio.sleep(0)

    def _take(self, frames: list[bytes]) -> None:
        _, parts = self._session.feed_identities(frames, copy=True)
        message: Any = self._session.deserialize(parts)
        if message["msg_type"] == "iopub_welcome" and not self.welcome.done():
            self.welcome.set_result(None)
        cell = self._cell
        if cell and message["parent_header"].get("msg_id") == cell.id:
            cell.take(message["msg_type"], message["content"])
