"""A kernel inside bubblewrap: a new process that imports everything itself.

bubblewrap has created the namespaces and mounted the folders (start_tools/python/bubbles.py);
limits, system calls and the watcher process are the same as in a fork of the zygote.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket

from start_tools.sandbox import boot, box, root, seccomp


def main() -> None:
    """Runs a kernel. Standard input is the host's socket. Never returns."""
    host = socket.socket(fileno=os.dup(0))
    message, fds, _, _ = socket.recv_fds(host, 1 << 16, 16)
    options = json.loads(message)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    options["connection"]["key"] = host.recv(1 << 10).decode()
    owner, *listeners = fds
    for name in box.FOLDERS:
        os.makedirs(f"{root.WRITABLE}/{name}", 0o700, exist_ok=True)
    for name in options["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # This descriptor lets the owner end this process.
    myself = os.pidfd_open(os.getpid())
    socket.send_fds(host, [b'{"watcher": true}'], [myself])
    os.close(myself)

    def kernel() -> None:
        os.close(owner)
        sockets = dict(enumerate(listeners, 1))
        boot.run_forked(options["connection"], options["limit"], sockets, host)

    limits = box.Limits(**options["limits"])
    filters = seccomp.build_filters(own_user=False)
    box.guard(host, False, os.getuid(), limits, filters, kernel, owner)
