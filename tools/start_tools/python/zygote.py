"""The process that kernels are forked from, as the host holds it. All calls here block."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from start_sdk.errors import InterpreterError
from start_tools.python import cgroups
from start_tools.python.process import START_LIMIT
from start_tools.python.starting import command, environment, last_words, private_folder
from start_tools.python.wire import PORTS

SANDBOX = Path("/sandbox")
"""Where the folders of a cell lie, as it sees them (inside/root.py)."""
PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
SHARED = 256 << 20
"""Bytes that count as a kernel's own, where they are measured, but came from the zygote."""
MAX_FORKS = 1000
"""Forks share their addresses: from time to time others are drawn."""


@dataclass(frozen=True)
class Settings:
    """What kernels have in common that come from one zygote."""

    preload: tuple[str, ...]
    max_chars: int
    memory: int
    """Bytes of a kernel."""
    disk: int
    """Bytes of its files."""
    processes: int


@dataclass(eq=False)
class Forked:
    """A kernel that nobody uses yet: descriptors, and nothing that needs an event loop."""

    zygote: Zygote
    address: str
    key: str
    host: socket.socket
    """To the process that watches over it; closed, it ends."""
    pidfd: int
    """Of that process."""
    group: cgroups.Group
    memory: int
    """Bytes that its processes may hold, what they share with the zygote included."""

    def alive(self) -> bool:
        return not select.select([self.pidfd], [], [], 0)[0]

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def close(self) -> None:
        """Ends it and takes away what is left of it. Its process is gone soon after."""
        self.signal(signal.SIGKILL)
        self.host.close()
        os.close(self.pidfd)
        for number in PORTS.values():
            Path(f"{self.address}-{number}").unlink(missing_ok=True)
        self.zygote.release()


class Zygote:
    """
    Raises:
        InterpreterError: it cannot be started; the reason, in one line.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.forks = 0
        self.alive = 0
        """Kernels of it that have not been closed."""
        self._lock = threading.Lock()
        self._folder = private_folder()
        (self._folder / "root").mkdir()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._start(theirs)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise InterpreterError(f"the kernels' parent did not start: {error}") from error
            raise

    def fork(self) -> Forked:
        """A kernel that is being made: it says `ready` on its socket, or `failed` and why.

        Raises:
            OSError: the zygote is gone, or the machine has no room.
        """
        self.forks += 1
        address = str(self._folder / str(self.forks))
        connection: dict[str, object] = {"transport": "ipc", "ip": "/k"}
        connection |= {f"{name}_port": number for name, number in PORTS.items()}
        with contextlib.ExitStack() as sent, contextlib.ExitStack() as failed:
            host, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            failed.callback(host.close)
            fds = [sent.enter_context(theirs).fileno()]
            for number in PORTS.values():
                listener = sent.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                listener.bind(f"{address}-{number}")
                listener.listen(4)
                fds.append(listener.fileno())
            group = cgroups.make(self.settings.memory + self.settings.disk, self.settings.processes)
            failed.callback(group.remove)
            for fd in group.open():
                sent.callback(os.close, fd)
                fds.append(fd)
            socket.send_fds(self._control, [json.dumps(connection).encode()], fds)
            _, pidfds, _, _ = socket.recv_fds(self._control, 64, 1)
            if not pidfds:
                raise ConnectionResetError("the kernels' parent is gone")
            failed.pop_all()
        key = secrets.token_hex()
        host.send(key.encode())
        with self._lock:
            self.alive += 1
        memory = self.settings.memory + SHARED
        return Forked(self, address, key, host, pidfds[0], group, memory)

    def release(self) -> None:
        """One of its kernels has ended."""
        with self._lock:
            self.alive -= 1

    def close(self) -> None:
        """Ends it and all its kernels, at once."""
        self._control.close()
        if hasattr(self, "_popen"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(2)
            self._popen.kill()
            self._popen.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, theirs: socket.socket) -> None:
        host = os.pidfd_open(os.getpid())
        try:
            with theirs, open(self._folder / "log", "wb") as log:
                self._popen = subprocess.Popen(
                    command("zygote"),
                    stdin=theirs.fileno(),
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env={**environment(SANDBOX, PROGRAMS), "USER": "sandbox"},
                    start_new_session=True,
                )
            options = {
                "preload": self.settings.preload,
                "limit": self.settings.max_chars,
                "folder": str(self._folder / "root"),
                "limits": {
                    "memory": self.settings.memory,
                    "disk": self.settings.disk,
                    "processes": self.settings.processes,
                },
            }
            # Its death ends the zygote, even where a fork of this process holds the socket open.
            socket.send_fds(self._control, [json.dumps(options).encode()], [host])
        finally:
            os.close(host)
        self._control.settimeout(START_LIMIT)
        answer = json.loads(self._control.recv(1 << 13) or b"{}")
        if "up" not in answer:
            said = answer.get("failed") or last_words(self._folder / "log", self._popen.wait())
            raise InterpreterError(f"the kernels' parent did not start: {said}")
