"""The host's side of what starts kernels: a zygote, or bubblewrap. All calls here block."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import threading
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from start_tools.python import cgroups
from start_tools.python.starting import private_folder
from start_tools.python.wire import PORTS

SANDBOX = Path("/sandbox")
"""Path of a cell's folders, inside the sandbox (sandbox/root.py)."""
PROGRAMS = "/usr/local/bin:/usr/bin:/bin"
SHARED = 256 << 20
"""Bytes that a measurement attributes to a kernel although they come from the zygote."""
MAX_FORKS = 1000
"""Forks per zygote. They share its memory layout, so a new one is started from time to time."""


@dataclass(frozen=True)
class Settings:
    """Settings that all kernels of one parent share."""

    preload: tuple[str, ...]
    max_chars: int
    memory: int
    """Bytes of memory of a kernel."""
    disk: int
    """Bytes of a kernel's files."""
    processes: int


@dataclass(eq=False)
class Forked:
    """A kernel that is not in use yet: descriptors, and nothing that needs an event loop."""

    parent: Parent
    address: str
    key: str
    host: socket.socket
    """Socket to the watcher; closing it ends the kernel."""
    pidfd: int
    """Pidfd of the watcher."""
    group: cgroups.Group
    memory: int
    """Bytes that its processes may hold, including what they share with the zygote."""

    def alive(self) -> bool:
        return not select.select([self.pidfd], [], [], 0)[0]

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def close(self) -> None:
        """Ends the kernel and removes its sockets. Its process ends soon after."""
        self.signal(signal.SIGKILL)
        self.host.close()
        os.close(self.pidfd)
        for number in PORTS.values():
            Path(f"{self.address}-{number}").unlink(missing_ok=True)
        self.parent.release()


class Parent:
    """Starts kernels. `close` ends it and removes its folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.forks = 0
        self.alive = 0
        """Number of its kernels that have not been closed."""
        self._lock = threading.Lock()
        self._folder = private_folder()
        self._started: list[subprocess.Popen[bytes]] = []

    def fork(self) -> Forked:
        """Starts a kernel, which sends `ready` on its socket, or `failed` and the reason.

        Raises:
            OSError: the parent has ended, or the machine is out of resources.
        """
        self.forks += 1
        address = str(self._folder / str(self.forks))
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
            pidfd = self._make(host, fds)
            failed.pop_all()
        key = secrets.token_hex()
        host.send(key.encode())  # to this kernel only
        with self._lock:
            self.alive += 1
        return Forked(self, address, key, host, pidfd, group, self.settings.memory + SHARED)

    def release(self) -> None:
        """Notes that one of its kernels has ended."""
        with self._lock:
            self.alive -= 1
            self._started = [process for process in self._started if process.poll() is None]

    def close(self) -> None:
        """Ends the parent and all its kernels immediately."""
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
            process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def options(self) -> dict[str, Any]:
        """Options that are sent to the process in which a kernel is created."""
        return {
            "preload": self.settings.preload,
            "limit": self.settings.max_chars,
            "limits": {
                "memory": self.settings.memory,
                "disk": self.settings.disk,
                "processes": self.settings.processes,
            },
            "connection": {
                "transport": "ipc",
                "ip": "/k",  # a name that is not used: the sockets already listen
                **{f"{name}_port": number for name, number in PORTS.items()},
            },
        }

    @abstractmethod
    def _make(self, host: socket.socket, fds: list[int]) -> int:
        """Starts a kernel and passes it descriptors.

        Args:
            host: the host's end of its socket.
            fds: the other end, its listening sockets, then files to which it writes 0 to join
                its groups.

        Returns:
            A pidfd of its watcher.
        """
