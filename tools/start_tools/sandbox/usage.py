"""Measures what the processes of a kernel use. Runs in its watcher (box.py)."""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from start_tools.sandbox import linux, root

AREA = 256
"""Bytes that Linux needs for an area of memory."""
DESCRIPTOR = 1 << 10
"""The same for an open file, or for what else a descriptor stands for."""
PIPE = 64 << 10
"""Bytes that a pipe can hold; seccomp.py does not let a cell enlarge it."""
WATCH = 4 << 10
"""Bytes counted per file that an epoll watches. Far more than the 200 that Linux needs, as all
processes of a user share one limit, which is a share of the machine's memory."""
ENDED = (FileNotFoundError, ProcessLookupError)
"""Errors when a process, or a descriptor of it, has ended since it was listed."""


def usage(capped: bool, enough: int) -> dict[str, float]:
    """Seconds of CPU that all processes here have used, and bytes of memory that they hold.

    Args:
        capped: whether a cgroup caps the memory; then only what it does not count is measured.
        enough: up to this number of bytes, an upper bound will do, which takes less time.

    Raises:
        OSError: a process cannot be inspected: it runs a program that its user may not read.
    """
    orphans = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The first is the watcher, this process.
    processes = [f"/proc/{name}" for name in os.listdir("/proc") if name.isdigit() and name != "1"]
    memory = (_inodes() << 10) + _buffers()
    with linux.as_real_user():
        ticks = _total(_ticks, processes)
        if not capped:
            threads = [thread for process in processes if (thread := _running_thread(process))]
            pipes = set[str]()
            memory += _total(lambda thread: _kept_by_linux(thread, pipes), threads)
            memory += len(pipes) * PIPE
            mapped = _total(_resident, threads)
            if memory + mapped > enough:
                mapped = _total(_share, threads)
            memory += mapped
    return {
        "cpu": ticks / os.sysconf("SC_CLK_TCK") + orphans.ru_utime + orphans.ru_stime,
        "memory": memory,
    }


def _total(measure: Callable[[str], int], paths: list[str]) -> int:
    total = 0
    for path in paths:
        with contextlib.suppress(*ENDED):
            total += measure(path)
    return total


def _ticks(process: str) -> int:
    """CPU time of a process and of its children that it has waited for."""
    fields = Path(f"{process}/stat").read_text("ascii", "replace").rpartition(") ")[2].split()
    return sum(map(int, fields[11:15]))


def _running_thread(process: str) -> str | None:
    """A thread that has not ended; the first may end and leave the memory to the others."""
    with contextlib.suppress(*ENDED):
        for name in os.listdir(f"{process}/task"):
            with contextlib.suppress(*ENDED):
                status = Path(f"{process}/task/{name}/stat").read_text("ascii", "replace")
                if status.rpartition(") ")[2][0] not in "ZX":
                    return f"{process}/task/{name}"
    return None


def _fields(path: str, *names: str) -> int:
    """The sum of fields of a file in /proc that are given in kilobytes, in bytes."""
    text = "\n" + Path(path).read_text("ascii", "replace")
    values = [text.partition(f"\n{name}:")[2].split(maxsplit=1) for name in names]
    return sum(int(value[0]) << 10 for value in values if value)


def _resident(thread: str) -> int:
    """Bytes of its process's memory."""
    return _fields(f"{thread}/status", "VmRSS", "VmSwap")


def _share(thread: str) -> int:
    """The same, with a shared page divided among the processes that share it."""
    return _fields(f"{thread}/smaps_rollup", "Pss", "SwapPss")


def _kept_by_linux(thread: str, pipes: set[str]) -> int:
    """Bytes that Linux keeps for a process: tables of memory, descriptors, what epolls watch.

    Adds its pipes, which others may have too.
    """
    areas = Path(f"{thread}/maps").read_bytes().count(b"\n")
    tables = areas * AREA + _fields(f"{thread}/status", "VmPTE")
    watches = 0
    try:
        names = os.listdir(f"{thread}/fd")
    except PermissionError:  # it is ending: its memory could be inspected a moment ago
        return tables
    for name in names:
        with contextlib.suppress(*ENDED):
            target = os.readlink(f"{thread}/fd/{name}")
            if target == "anon_inode:[eventpoll]":
                watches += Path(f"{thread}/fdinfo/{name}").read_text("ascii").count("tfd:")
            elif target.startswith("pipe:") or (
                target.startswith("/") and stat.S_ISFIFO(os.stat(f"{thread}/fd/{name}").st_mode)
            ):
                pipes.add(target)
    return tables + len(names) * DESCRIPTOR + watches * WATCH


def _inodes() -> int:
    """Counts the files. Each takes a kilobyte of the system's memory in addition to its content.

    bubblewrap has no option that limits their number.
    """
    file_systems = {}
    for path in (root.WRITABLE, "/tmp", "/dev/shm"):  # noqa: S108
        with contextlib.suppress(OSError):
            file_systems[os.stat(path).st_dev] = os.statvfs(path)
    return sum(file_system.f_files - file_system.f_ffree for file_system in file_systems.values())


def _buffers() -> int:
    """Bytes that the sockets here can hold: what they do hold is known for the whole machine only.

    Not even a cgroup counts everything, such as what waits in connections not yet accepted.
    """
    used = tcp = 0
    text = Path("/proc/net/sockstat").read_text("ascii")
    with contextlib.suppress(FileNotFoundError):  # Linux without IPv6
        text += Path("/proc/net/sockstat6").read_text("ascii")
    for line in text.splitlines():
        match line.split():
            case ["sockets:", "used", number]:
                used = int(number)
            case ["TCP:" | "TCP6:", "inuse", number, *_]:
                tcp += int(number)
    most, most_tcp = _largest_buffers()
    return max(used - tcp, 0) * most + tcp * most_tcp


@functools.cache
def _largest_buffers() -> tuple[int, int]:
    """Bytes that a socket can hold, and that a TCP socket can hold, sent and received."""
    with socket.socket(socket.AF_UNIX) as example:
        most = sum(
            example.getsockopt(socket.SOL_SOCKET, option)
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF)
        )
    tcp = [Path(f"/proc/sys/net/ipv4/tcp_{kind}mem").read_text("ascii") for kind in "rw"]
    return most, sum(int(limits.split()[2]) for limits in tcp)
