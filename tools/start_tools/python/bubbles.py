"""Kernels that bubblewrap starts, one process each, for machines where forking is not wanted.

The sandbox is created by a program that others maintain and audit; what runs in it (limits, system
calls, the watcher) is ours. A kernel takes a second to start because it imports everything itself.
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
    """The bubblewrap command line: no network, no files but the interpreter's, no rights.

    Args:
        disk: bytes of each of the three writable file systems.

    Raises:
        InterpreterError: bubblewrap is not installed.
    """
    program = shutil.which("bwrap")
    if not program:
        raise InterpreterError("the program bwrap is not installed")
    # The watcher is process 1: when it ends, every process that a cell has started ends.
    args = [
        program,
        "--as-pid-1",
        "--unshare-all",
        "--unshare-user",
        "--new-session",
        "--hostname",
        "sandbox",
    ]
    args += ["--uid", "1500", "--gid", "1500", "--cap-drop", "ALL"]
    for path in _MOUNTED:
        if os.path.islink(path):
            args += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            args += ["--ro-bind", path, path]
    for path in root.interpreter():
        link = os.path.islink(path)
        args += ["--symlink", os.path.realpath(path), path] if link else ["--ro-bind", path, path]
    for path in _ETC:
        args += ["--ro-bind-try", path, path]
    # The part of this package that runs inside the sandbox, and nothing around it.
    package = Path(start_tools.__file__).parent
    for path in (str(package / "__init__.py"), str(package / "sandbox")):
        args += ["--ro-bind", path, path]
    # --dev creates a file system of unlimited size: read-only, except for the part with a limit.
    args += [
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
        args += ["--size", str(disk), "--perms", "0700", "--tmpfs", path]
    return [*args, "--remount-ro", "/", "--chdir", str(SANDBOX), "--"]


class Bubblewrap(Parent):
    """Starts kernels one by one."""

    def _make(self, host: socket.socket, fds: list[int]) -> int:
        theirs, *others = fds
        listeners, groups = others[: len(PORTS)], others[len(PORTS) :]
        # It joins its groups before it enters a cgroup namespace, in which they are not visible.
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
