"""One ipykernel: its process, its private folder, and the two sockets over which it is reached.

The process is started and watched here, not by jupyter_client's KernelManager, which polls every
100 ms and does not notice a death; only its client, which speaks the protocol, is used. Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import site
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient

import start_tools
from start_sdk.errors import InterpreterError
from start_tools.python.cell import Cell
from start_tools.python.output import Output

START_LIMIT = 60.0
"""Seconds until a kernel must have run its first cell; it takes about one."""
KILL_LIMIT = 10.0
"""Seconds until a killed process is gone; it takes milliseconds, unless Linux itself is stuck."""
MAX_MESSAGE = 16 << 20
"""Bytes of a message. The kernel's side keeps them small; this holds if a cell gets around it."""
BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop()); import start_tools.inside; del sys.path[0];"
    "from start_tools.inside.boot import main; main()"
)
"""Takes start_tools from where it lies here, and nothing else from there."""
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What a message that is not signed or not well formed raises where it is read."""
CHANNELS = ("shell", "iopub", "stdin", "control")
PASSED_ON = ("LD_LIBRARY_PATH", "TZ")
"""Environment variables of the host that a kernel gets as they are."""


def environment(folder: Path) -> dict[str, str]:
    """All that a cell finds in `os.environ`: nothing of the host's but where programs lie."""
    home = folder / "home"
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONUSERBASE": site.getuserbase(),
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PAGER": "cat",
        "GIT_PAGER": "cat",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # Sets of strings print in the same order each time: a cell run again says the same.
        "PYTHONHASHSEED": "0",
    }


async def first(*futures: asyncio.Future[Any], timeout: float | None = None) -> None:
    """Waits until one of them is done, or for `timeout` seconds."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


class Process:
    """A running kernel. It belongs to the event loop in which it was started."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._exit = contextlib.AsyncExitStack()
        self._cell: Cell | None = None
        self._welcome: asyncio.Future[None] = self._loop.create_future()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        """Holds the exit code, negative for a signal, as soon as the process is gone."""
        self.killed = False

    @classmethod
    async def start(cls, preload: tuple[str, ...], max_chars: int) -> Process:
        """A kernel that has run a cell.

        Raises:
            InterpreterError: the reason why there is none, in one line.
        """
        process = cls()
        try:
            process._launch(preload, max_chars)
            async with asyncio.timeout(START_LIMIT):
                await first(process._welcome, process.exited)
                ready = process.execute("None", Output(0))
                await first(ready.done, process.exited)
            if process.exited.done():
                raise InterpreterError(f"the kernel did not start: {process._last_words()}")
        except BaseException as error:
            await process.close()
            if isinstance(error, TimeoutError):
                raise InterpreterError(f"the kernel was not ready in {START_LIMIT:g} s") from None
            if isinstance(error, OSError | zmq.ZMQError):
                raise InterpreterError(f"the kernel did not start: {error}") from error
            raise
        return process

    def execute(self, code: str, output: Output) -> Cell:
        """Sends a cell, which is not awaited here. One at a time."""
        cell = self._cell = Cell(output)
        sendable = code.encode(errors="replace").decode()
        cell.id = self._client.execute(sendable, store_history=False, stop_on_error=False)
        return cell

    async def ended(self) -> int | None:
        """The exit code if the process is gone, even if the event loop has not heard of it yet."""
        poll = select.poll()
        if not self.exited.done():
            poll.register(self._pidfd)
            if not poll.poll(0):
                return None
        await first(self.exited)
        return self.exited.result()

    def interrupt(self) -> None:
        """Sends SIGINT to the kernel and the processes it runs, as Ctrl-C does in a terminal."""
        self._signal(signal.SIGINT)
        # A cell that awaits has its future cancelled by the signal, but its event loop sleeps on;
        # any message wakes it (ipykernel#881).
        self._client.kernel_info()

    def kill(self) -> None:
        """Ends the kernel and the processes it runs; `exited` is done soon after."""
        self.killed = True
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """Ends the process with its children and takes its folder away. May be called twice."""
        # Started now and finished even if who waits for it is cancelled.
        await asyncio.shield(asyncio.ensure_future(self._exit.aclose()))

    def _launch(self, preload: tuple[str, ...], max_chars: int) -> None:
        """Starts the process and connects to it. Each step says how it is undone."""
        if not hasattr(os, "pidfd_open"):
            raise InterpreterError("PythonTool needs Linux")
        folder = self._folder = Path(tempfile.mkdtemp(prefix="start-"))  # readable by us alone
        self._exit.push_async_callback(asyncio.to_thread, shutil.rmtree, folder, True)
        if len(str(folder)) > 90:
            raise InterpreterError(f"too long a path for a socket, set TMPDIR to another: {folder}")
        for name in ("work", "home", "tmp"):
            (folder / name).mkdir()
        with open(folder / "log", "wb") as log:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-c", BOOT, str(Path(start_tools.__file__).parents[1])],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder / "work",
                env=environment(folder),
                start_new_session=True,
            )
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._loop.add_reader(self._pidfd, self._on_exit)
        self._exit.push_async_callback(self._end)
        connection = {
            "transport": "ipc",
            "ip": str(folder / "s"),
            "key": secrets.token_hex(),
            **{f"{name}_port": i for i, name in enumerate(CHANNELS, 1)},
        }
        self._connect(connection)
        options = {"connection": connection, "preload": preload, "limit": max_chars}
        assert self._popen.stdin
        # The pipe stays open: when the host is gone, it closes, and that ends the kernel.
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(json.dumps(options).encode() + b"\n")

    def _connect(self, connection: dict[str, Any]) -> None:
        context = zmq.asyncio.Context()
        self._exit.callback(context.term)
        context.setsockopt(zmq.LINGER, 0)
        context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        context.setsockopt(zmq.RECONNECT_IVL, 10)  # ms; the kernel will listen in half a second
        client: Any = AsyncKernelClient(context=context)
        client.load_connection_info(connection)
        client.start_channels(stdin=False, hb=False, control=False)
        self._exit.callback(client.iopub_channel.close)
        self._exit.callback(client.shell_channel.close)
        self._client = client
        for channel in (client.iopub_channel, client.shell_channel):
            task = asyncio.create_task(self._pump(channel))
            self._exit.push_async_callback(asyncio.wait, [task])
            self._exit.callback(task.cancel)

    async def _pump(self, channel: Any) -> None:
        """Reads a channel as long as the kernel lives, so that nothing piles up between cells."""
        while True:
            # Code in a cell can send what it likes: what cannot be read is dropped, and so is what
            # belongs to an earlier cell, say output of a thread.
            with contextlib.suppress(*MALFORMED):
                message = await channel.get_msg()
                if message["msg_type"] == "iopub_welcome" and not self._welcome.done():
                    self._welcome.set_result(None)
                cell = self._cell
                if cell and message["parent_header"].get("msg_id") == cell.id:
                    cell.take(message["msg_type"], message["content"])
            # A message that is there already is read without a pause: let others work too.
            await asyncio.sleep(0)

    def _signal(self, number: signal.Signals) -> None:
        # The process is not reaped before `exited` is done: its number is not used again. (Unless
        # the host ignores SIGCHLD: then Linux reaps it, and there may be nobody to signal.)
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._signal(signal.SIGKILL)  # to what it has started and left behind
        self.exited.set_result(self._popen.wait())

    async def _end(self) -> None:
        self.kill()
        await first(self.exited, timeout=KILL_LIMIT)
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        assert self._popen.stdin
        self._popen.stdin.close()

    def _last_words(self) -> str:
        lines = (self._folder / "log").read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1] if said else f"exit code {self.exited.result()}"
