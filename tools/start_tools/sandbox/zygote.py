"""The zygote: a process that has imported everything and forks a kernel on request.

The host starts it with a socket as standard input (start_tools/python/zygote.py) and a scrubbed
environment, because every kernel can read whatever this process ever held. It has a single thread
and no event loop; otherwise forking would not be safe. It is process 1 of a PID namespace, so all
its kernels end with it. It exits when the host closes the socket or dies.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any

from start_tools.sandbox import boot, box, linux, seccomp

DESCRIPTORS = ("shell", "iopub", "stdin", "control")


def main() -> None:
    """Runs the zygote. Never returns."""
    control = socket.socket(fileno=os.dup(0))
    message, fds, _, _ = socket.recv_fds(control, 1 << 16, 1)
    options, host = json.loads(message), fds[0]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        _import(options)
        privileged = box.privileged()
        # While this package's files are still readable.
        filters = seccomp.build_filters(own_user=privileged)
        own_namespace = box.enter_root(options["folder"], privileged)
        control.send(json.dumps({"up": True}).encode())
    except Exception as error:
        control.send(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode())
        os._exit(box.FAILED)
    gc.collect()
    gc.freeze()  # or the collector would write to shared pages, and so copy them
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no wait for kernels: the host watches them
    limits = box.Limits(**options["limits"])
    for count in itertools.count(box.first_user()):
        ready, _, _ = select.select([control.fileno(), host], [], [])
        if host in ready:
            break
        message, fds, _, _ = socket.recv_fds(control, 64, 16)
        if not message:
            break
        user = box.USERS[count % len(box.USERS)] if privileged else box.USER
        linux.unshare(linux.NEW_PID)
        pid = os.fork()
        if pid == 0:
            _child(fds, options, privileged, user, limits, filters)
        linux.join_pid_namespace(own_namespace)
        pidfd = os.pidfd_open(pid)
        socket.send_fds(control, [b"forked"], [pidfd])
        for fd in (pidfd, *fds):
            os.close(fd)
    os._exit(0)


def _import(options: dict[str, Any]) -> None:
    for name in options["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in _imported_late(options["folder"]):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if len(os.listdir("/proc/self/task")) != 1:
        raise RuntimeError(f"one of {options['preload']} starts threads when imported")


def _imported_late(folder: str) -> list[str]:
    """Modules that a shell imports as it starts, found by starting one in a child process."""
    read_end, write_end = os.pipe()
    before = set(sys.modules)
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.environ["IPYTHONDIR"] = folder
            ports = {f"{name}_port": i for i, name in enumerate(DESCRIPTORS, 1)}
            app = boot.make_app({"transport": "ipc", "ip": f"{folder}/w", **ports}, 1000)
            app.initialize([])  # type: ignore[no-untyped-call]
            shell: Any = app.shell
            shell.run_cell("1 + 1")
            shell.run_cell("1 / 0")
        late = [name for name in sys.modules if name not in before and name != "__mp_main__"]
        os.write(write_end, json.dumps(late).encode()[: 1 << 16])
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return list(json.loads(text)) if text else []


def _child(
    fds: list[int], options: dict[str, Any], privileged: bool, user: int, limits: box.Limits,
    filters: seccomp.Filters,
) -> None:  # fmt: skip
    """Turns this child process into a kernel. Never returns."""
    host = socket.socket(fileno=fds[0])
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for cgroup in fds[1 + len(DESCRIPTORS) :]:
            os.write(cgroup, b"0")  # this process
        # Close everything else of the zygote, above all its control socket.
        box.keep_open(fds[: 1 + len(DESCRIPTORS)])
        null = os.open(os.devnull, os.O_RDWR)  # what is set on an open file is not shared either
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.close(null)
        connection = options["connection"]
        connection["key"] = host.recv(1 << 10).decode()  # sent after the fork, to this kernel only
        sockets = dict(enumerate(fds[1 : 1 + len(DESCRIPTORS)], 1))

        def kernel() -> None:
            boot.run_forked(connection, options["limit"], sockets, host)

        box.run(host, privileged, user, limits, filters, kernel)
    except BaseException:
        with contextlib.suppress(OSError):
            host.send(json.dumps({"failed": traceback.format_exc()[-3000:]}).encode())
        os._exit(box.FAILED)


if __name__ == "__main__":
    main()
