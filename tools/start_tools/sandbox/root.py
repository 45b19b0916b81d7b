"""The file system of a cell: the interpreter and the libraries of this machine, all read-only.

The zygote builds it once; each kernel then mounts its own /proc and one small writable file system
(box.py). Nothing of /home, /root, /var, /run, /sys or /opt is visible, unless Python is installed
there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from start_tools.sandbox import linux

WRITABLE = "/sandbox"
"""Where a kernel mounts the only file system that it may write to."""
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
_ETC = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "alternatives",
    "fonts",
    "mime.types",
)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}


def interpreter() -> list[str]:
    """Folders that hold Python and its packages, none of them inside another."""
    named = (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    folders = {os.path.abspath(path) for path in named}
    folders |= {os.path.realpath(path) for path in folders}
    kept: list[str] = []
    for folder in sorted(folders):
        if folder != "/" and not any(_inside(folder, other) for other in (*kept, "/usr")):
            kept.append(folder)
    return kept


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def build(folder: str, user: int) -> None:
    """Builds a new root in `folder` and enters it. Needs a private mount namespace."""
    linux.restrict_mount("/", 0, recursive=True)  # private: no later change is visible outside
    linux.mount("tmpfs", folder, "tmpfs", linux.NOSUID | linux.NODEV, "size=1m,mode=755")
    for path in _SYSTEM:
        if os.path.islink(path):
            os.symlink(os.readlink(path), folder + path)
        elif os.path.isdir(path):
            _show(folder, path)
    for path in interpreter():
        if os.path.islink(path):
            Path(folder + path).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(os.path.realpath(path), folder + path)
        else:
            _show(folder, path)
    _etc(folder, user)
    _dev(folder)
    for name in ("proc", "newproc", "tmp", WRITABLE[1:]):
        Path(folder, name).mkdir(exist_ok=True)
    # Linux lets a user namespace mount a new /proc only where a complete one is visible.
    linux.bind("/proc", f"{folder}/proc")
    linux.enter_root(folder)
    linux.restrict_mount("/", linux.READ_ONLY | linux.NOSUID | linux.NODEV)


def new_proc() -> None:
    """Replaces /proc with one that shows only this PID namespace."""
    flags = linux.NOSUID | linux.NODEV | linux.NOEXEC
    linux.mount("proc", "/newproc", "proc", flags)
    linux.unmount("/proc")
    linux.mount("/newproc", "/proc", "", linux.MOVE)


def _show(folder: str, path: str) -> None:
    """Makes a file or folder of the machine appear at the same path, read-only."""
    target = Path(folder + path)
    if os.path.isdir(path):
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    linux.bind(path, str(target))
    flags = linux.READ_ONLY | linux.NOSUID | linux.NODEV
    linux.restrict_mount(str(target), flags, recursive=True)


def _etc(folder: str, user: int) -> None:
    etc = Path(folder, "etc")
    etc.mkdir()
    for name in _ETC:
        if os.path.exists(f"/etc/{name}"):
            target = etc / name
            if os.path.isdir(f"/etc/{name}"):
                _show(folder, f"/etc/{name}")
            else:  # copied: a bind mount would follow a link to a path that may not be in the root
                target.write_bytes(Path(f"/etc/{name}").read_bytes())
    home = f"{WRITABLE}/home"
    (etc / "passwd").write_text(f"sandbox:x:{user}:{user}::{home}:/bin/sh\n", encoding="ascii")
    (etc / "group").write_text(f"sandbox:x:{user}:\n", encoding="ascii")
    (etc / "hosts").write_text("127.0.0.1 localhost sandbox\n", encoding="ascii")
    files = "passwd: files\ngroup: files\nhosts: files\n"
    (etc / "nsswitch.conf").write_text(files, encoding="ascii")


def _dev(folder: str) -> None:
    dev = Path(folder, "dev")
    for name in ("pts", "shm"):
        (dev / name).mkdir(parents=True)
    for name in _DEVICES:
        (dev / name).touch()
        linux.bind(f"/dev/{name}", str(dev / name))
        linux.restrict_mount(str(dev / name), linux.NOSUID | linux.NOEXEC)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
