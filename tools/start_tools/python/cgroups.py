"""Caps on the memory and the number of processes of a whole kernel, where this user may set them.

Version 2 and version 1 of Linux's control groups, or none: an ordinary user has them only where a
service manager has delegated a group. Limits per process (sandbox/box.py) hold in any case.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

_FILES = {
    "memory": {"memory.max": "{memory}", "memory.swap.max": "0"},
    "pids": {"pids.max": "{processes}"},
}
_FILES_V1 = {
    "memory": {"memory.limit_in_bytes": "{memory}"},
    "pids": {"pids.max": "{processes}"},
}
_EVENTS = ("memory.events", "memory.oom_control")
"""Where it says how many processes were killed, in version 2 and 1."""


@dataclass(frozen=True)
class Group:
    """The groups of one kernel: one folder in version 2, one for each controller in version 1."""

    folders: tuple[Path, ...] = ()

    def open(self) -> list[int]:
        """Descriptors to which a process writes 0 to join."""
        return [os.open(folder / "cgroup.procs", os.O_WRONLY) for folder in self.folders]

    def oom_kills(self) -> int:
        """How many of its processes were killed because they used too much memory."""
        for folder in self.folders:
            for name in _EVENTS:
                with contextlib.suppress(OSError):
                    lines = (folder / name).read_text(encoding="ascii").splitlines()
                    return sum(int(line.split()[1]) for line in lines if "oom_kill " in line)
        return 0

    def remove(self) -> None:
        """Blocks for a moment: Linux lets go of a group a little after its last process."""
        for folder in self.folders:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    folder.rmdir()
                if not folder.exists():
                    break
                time.sleep(0.01)


def make(memory: int, processes: int) -> Group:
    """A fresh group with limits, or an empty one.

    Args:
        memory: bytes.
        processes: how many, threads counted.
    """
    folders: list[Path] = []
    name = f"start-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        for parent, files in parents():
            folder = parent / name
            folder.mkdir()
            folders.append(folder)
            for file, value in files.items():
                text = value.format(memory=memory, processes=processes)
                if file != "memory.swap.max" or (folder / file).exists():
                    (folder / file).write_text(text, encoding="ascii")
    except OSError:
        Group(tuple(folders)).remove()
        return Group()
    return Group(tuple(folders))


@functools.cache
def parents() -> list[tuple[Path, dict[str, str]]]:
    """Folders in which this process may make groups, with the files that hold the limits."""
    try:
        mounts, groups = _mounts(), Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:  # a Linux without them
        return []
    found = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers:
            wanted = {n: f for n, f in _FILES_V1.items() if n in controllers.split(",")}
        elif "unified" in mounts:
            available = _folder(mounts["unified"], path) / "cgroup.subtree_control"
            with contextlib.suppress(OSError):
                available.write_text("+memory +pids", encoding="ascii")
            have = available.read_text(encoding="ascii").split() if available.exists() else []
            wanted = {n: f for n, f in _FILES.items() if n in have}
        else:
            continue
        point = mounts.get(next(iter(wanted), "") if controllers else "unified")
        if not wanted or not point:
            continue
        folder = _folder(point, path)
        if os.access(folder, os.W_OK):
            found.append((folder, {k: v for files in wanted.values() for k, v in files.items()}))
    return found


def _folder(mount: tuple[Path, str], path: str) -> Path:
    """Where a group lies; a container may see only the part of the tree that is its own."""
    point, root = mount
    return point / path.removeprefix(root).lstrip("/")


def _mounts() -> dict[str, tuple[Path, str]]:
    """Where each controller of version 1, and version 2 as `unified`, is mounted, and its part."""
    found = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, point = before.split()[3:5]
        mount = Path(point), root.rstrip("/")
        if kind == "cgroup2":
            found["unified"] = mount
        elif kind == "cgroup":
            found.update({name: mount for name in options.split(",") if name in _FILES_V1})
    return found
