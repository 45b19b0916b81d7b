"""A kernel without a sandbox: a process of this user, with a private folder.

This module starts and watches the process itself. jupyter_client's KernelManager polls every
100 ms and does not notice when a kernel dies. Nothing here or in the kernel needs Linux.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
from pathlib import Path

from start_sdk.errors import InterpreterError
from start_tools.python.output import Output
from start_tools.python.process import START_LIMIT, Process, first
from start_tools.python.starting import command, environment, last_log_line, private_folder
from start_tools.python.wire import PORTS, Wire


class PlainProcess(Process):
    @classmethod
    async def start(cls, preload: tuple[str, ...], max_chars: int) -> PlainProcess:
        """Starts a kernel, which has then run a cell.

        Raises:
            InterpreterError: no kernel could be started; the message gives the reason in one line.
        """
        process = cls()
        try:
            process._launch(preload, max_chars)
            async with asyncio.timeout(START_LIMIT):
                await first(process.wire.welcome, process.exited)
                ready = process.execute("None", Output(0))
                await first(ready.done, process.exited)
            if process.exited.done():
                reason = last_log_line(process._folder / "log", process.exited.result())
                raise InterpreterError(f"the kernel did not start: {reason}")
        except BaseException as error:
            await process.close()
            if isinstance(error, TimeoutError):
                raise InterpreterError(f"the kernel was not ready in {START_LIMIT:g} s") from None
            if isinstance(error, OSError):
                raise InterpreterError(f"the kernel did not start: {error}") from error
            raise
        return process

    async def open_file(self, path: str, *, new: bool) -> int:
        return open_below(self._folder / "work", path, new)

    def _launch(self, preload: tuple[str, ...], max_chars: int) -> None:
        """Starts the process and connects to it. Each step registers how to undo it."""
        folder = self._folder = private_folder()
        self._exit.push_async_callback(asyncio.to_thread, shutil.rmtree, folder, True)
        for name in ("work", "home", "tmp"):
            (folder / name).mkdir()
        with open(folder / "log", "wb") as log:
            self._popen = subprocess.Popen(
                command("boot"),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=folder / "work",
                env=environment(folder, os.environ.get("PATH", os.defpath)),
                start_new_session=True,
            )
        self._oom_kills = oom_kills()
        assert self._popen.stdin
        self._exit.callback(self._popen.stdin.close)
        self._watch(end_of(self._popen))
        address, key = str(folder / "s"), secrets.token_hex()
        connection: dict[str, object] = {"transport": "ipc", "ip": address, "key": key}
        connection |= {f"{name}_port": number for name, number in PORTS.items()}
        self.wire = Wire(address, key, max_chars, self.kill)
        self._exit.push_async_callback(self.wire.close)
        options = {"connection": connection, "preload": preload, "limit": max_chars}
        # The pipe stays open: it closes when the host ends, and that ends the kernel.
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(json.dumps(options).encode() + b"\n")

    def _signal(self, number: signal.Signals) -> None:
        # The process is not reaped before `exited` is done, or only just.
        # (Unless the host ignores SIGCHLD: then the system reaps it, and it may not exist.)
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: of a dead group
                os.killpg(self._popen.pid, number)

    def _exit_code(self) -> int:
        self._signal(signal.SIGKILL)  # to the processes that it left behind
        code = self._popen.wait()
        self.ran_out_of_memory = code == -signal.SIGKILL and oom_kills() > self._oom_kills
        return code


def end_of(process: subprocess.Popen[bytes]) -> int:
    """Returns a descriptor that can be read from once the process has ended."""
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(process.pid)
    read_end, write_end = os.pipe()

    def wait() -> None:
        process.wait()
        os.close(write_end)

    threading.Thread(target=wait, name="kernel's end", daemon=True).start()
    return read_end


def open_below(folder: Path, path: str, new: bool) -> int:
    """Opens a file below a folder without following links, which a cell may have made.

    Args:
        folder: path of the folder.
        path: path of the file, relative to the folder.
        new: create or truncate the file for writing; otherwise open it for reading.

    Raises:
        OSError: the file cannot be opened, or is not below the folder.
    """
    *parents, name = os.path.normpath(path).split("/")  # no part of it may be a link
    if not name or "" in parents or ".." in (*parents, name):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY  # non-blocking: it may be a pipe
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for parent in parents:
            below = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = below
        flags |= os.O_WRONLY | os.O_CREAT | os.O_TRUNC if new else os.O_RDONLY
        return os.open(name, flags, 0o644, dir_fd=here)
    finally:
        os.close(here)


def oom_kills() -> int:
    """Number of processes that Linux has killed since boot for lack of memory; 0 if unknown."""
    try:
        counters = Path("/proc/vmstat").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(counters.partition("\noom_kill ")[2].partition("\n")[0] or 0)
