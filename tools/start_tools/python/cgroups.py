"""Caps the memory and the number of processes of a whole kernel, if this user may set such limits.

Supports version 2 and version 1 of Linux's control groups. An ordinary user has them only where a
service manager has delegated a group. Limits per process (sandbox/box.py) apply in any case.
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
    "memory": {
        "memory.limit_in_bytes": "{memory}",
        "memory.memsw.limit_in_bytes": "{memory}",
        "memory.kmem.tcp.limit_in_bytes": "{memory}",  # of UDP, too
    },
    "pids": {"pids.max": "{processes}"},
}
_NOT_EVERYWHERE = {
    "memory.swap.max",
    "memory.memsw.limit_in_bytes",
    "memory.kmem.tcp.limit_in_bytes",
}
"""Files that depend on how Linux was built and started."""
_EVENTS = ("memory.events", "memory.oom_control")
"""Files that count the killed processes, in version 2 and 1."""


@dataclass(frozen=True)
class Group:
    """The groups of one kernel: one folder in version 2, one per controller in version 1."""

    folders: tuple[Path, ...] = ()

    def open(self) -> list[int]:
        """Opens descriptors to which a process writes 0 to join the groups."""
        return [os.open(folder / "cgroup.procs", os.O_WRONLY) for folder in self.folders]

    def caps_memory(self) -> bool:
        names = [next(iter(files["memory"])) for files in (_FILES, _FILES_V1)]
        return any((folder / name).exists() for folder in self.folders for name in names)

    def oom_kills(self) -> int:
        """Number of its processes that were killed because they used too much memory."""
        for folder in self.folders:
            for name in _EVENTS:
                with contextlib.suppress(OSError):
                    lines = (folder / name).read_text(encoding="ascii").splitlines()
                    return sum(int(line.split()[1]) for line in lines if "oom_kill " in line)
        return 0

    def remove(self) -> None:
        """Removes the groups. Blocks briefly: Linux frees a group soon after its last process."""
        for folder in self.folders:
            for _ in range(50):
                with contextlib.suppress(OSError):
                    folder.rmdir()
                if not folder.exists():
                    break
                time.sleep(0.01)


def make(memory: int, processes: int) -> Group:
    """Creates a group with limits; returns an empty `Group` if that is not possible.

    Args:
        memory: maximum memory in bytes.
        processes: maximum number of processes and threads.
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
                if file not in _NOT_EVERYWHERE or (folder / file).exists():
                    (folder / file).write_text(text, encoding="ascii")
    except OSError:
        Group(tuple(folders)).remove()
        return Group()
    return Group(tuple(folders))


@functools.cache
def parents() -> list[tuple[Path, dict[str, str]]]:
    """Folders in which this process may create groups, with the files that hold the limits."""
    try:
        mounts, groups = _mounts(), Path("/proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:  # a Linux without control groups
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


def cap_memory() -> bool:
    """Whether one of the groups that this process may create limits memory."""
    return any(name.startswith("memory.") for _, files in parents() for name in files)


def _folder(mount: tuple[Path, str], path: str) -> Path:
    """The folder of a group; a container may see only its own part of the tree."""
    point, root = mount
    return point / path.removeprefix(root).lstrip("/")


def _mounts() -> dict[str, tuple[Path, str]]:
    """The mount point and root of each version 1 controller, and of version 2 as `unified`."""
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
