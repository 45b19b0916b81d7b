"""Tests whether a sandbox can be created, and prints the reason on one line if it cannot."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from start_tools.sandbox import box, linux, root, seccomp


def main() -> None:
    """Creates an empty sandbox; prints nothing if that works.

    The last command-line argument is a folder for the root. An empty string means that this process
    is already in a sandbox, and that only the steps of a kernel inside it are to be tested.
    """
    folder = sys.argv.pop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        limits = box.Limits(memory=1 << 30, disk=1 << 24, processes=16)
        privileged = box.privileged() if folder else False
        filters = seccomp.build_filters(own_user=privileged)
        if folder:
            box.enter_root(folder, privileged)
            linux.unshare(linux.NEW_PID)
        else:
            os.mkdir(f"{root.WRITABLE}/work")
        if os.fork() == 0:
            ours.close()
            make = box.run if folder else box.guard
            user = box.USERS[box.first_user()] if privileged else box.USER
            make(theirs, privileged, user, limits, filters, lambda: os._exit(0))
        theirs.close()
        answer: dict[str, Any] = json.loads(ours.recv(1 << 13) or b'{"failed": "its process died"}')
    except OSError as error:
        answer = {"failed": str(error)}
    if answer != {"exit": 0}:
        print(str(answer.get("failed", answer)).strip().splitlines()[-1])  # noqa: T201
