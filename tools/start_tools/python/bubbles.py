"""Kernels that bubblewrap starts, one process each: for machines where a fork is not wanted.

The sandbox is made by a program that others maintain and audit; what is in it (limits, system
calls, the process that watches) is ours. A kernel takes a second to start: it imports all itself.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import start_tools
from start_sdk.errors import InterpreterError
from start_tools.python.parent import PROGRAMS, SANDBOX, Parent
from start_tools.python.starting import command, environment
from start_tools.python.wire import PORTS
from start_tools.sandbox import root

_MOUNTED = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
_ETC = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/fonts",
)


def arguments(disk: int) -> list[str]:
    """What bubblewrap is told: no network, no files but the interpreter's, no rights.

    Args:
        disk: bytes of each of the three places that can be written.

    Raises:
        InterpreterError: there is no bubblewrap.
    """
    program = shutil.which("bwrap")
    if not program:
        raise InterpreterError("the program bwrap is not installed")
    # What watches over the kernel is process 1: when it ends, so does all that a cell has started.
    said = [
        program,
        "--as-pid-1",
        "--unshare-all",
        "--unshare-user",
        "--new-session",
        "--hostname",
        "sandbox",
    ]
    said += ["--uid", "1500", "--gid", "1500", "--cap-drop", "ALL"]
    for path in _MOUNTED:
        if os.path.islink(path):
            said += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            said += ["--ro-bind", path, path]
    for path in root.interpreter():
        link = os.path.islink(path)
        said += ["--symlink", os.path.realpath(path), path] if link else ["--ro-bind", path, path]
    for path in _ETC:
        said += ["--ro-bind-try", path, path]
    # What runs inside of this package, and nothing of what lies around it.
    package = Path(start_tools.__file__).parent
    for path in (str(package / "__init__.py"), str(package / "sandbox")):
        said += ["--ro-bind", path, path]
    # --dev makes a file system of no fixed size: closed, but for the part with one.
    said += [
        "--proc",
        "/proc",
        "--ro-bind",
        "/proc/sys",
        "/proc/sys",
        "--dev",
        "/dev",
        "--remount-ro",
        "/dev",
    ]
    for path in ("/dev/shm", "/tmp", str(SANDBOX)):  # noqa: S108
        said += ["--size", str(disk), "--perms", "0700", "--tmpfs", path]
    return [*said, "--remount-ro", "/", "--chdir", str(SANDBOX), "--"]


class Bubbles(Parent):
    """Starts kernels one by one."""

    def _make(self, host: socket.socket, fds: list[int]) -> int:
        theirs, *others = fds
        listeners, groups = others[: len(PORTS)], others[len(PORTS) :]
        # It joins its groups before it has a namespace of them, in which they cannot be seen.
        join = "".join(f"echo 0 > /proc/self/fd/{fd}; " for fd in groups)
        kernel = [*arguments(self.settings.disk), *command("bubble")]
        bwrap = subprocess.Popen(
            ["/bin/sh", "-c", f'{join} exec "$@"', "sh", *kernel],
            pass_fds=groups,
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment(SANDBOX, PROGRAMS), "USER": "sandbox"},
            start_new_session=True,
        )
        self._started.append(bwrap)
        owner = os.pidfd_open(os.getpid())
        socket.send_fds(host, [json.dumps(self.options()).encode()], [owner, *listeners])
        os.close(owner)
        return os.pidfd_open(bwrap.pid)
