"""Tries a sandbox out: makes one around nothing, and says on one line why it cannot be had."""

from __future__ import annotations

import json
import os
import socket
import sys

from start_tools.inside import box, linux, seccomp


def main() -> None:
    """Takes a folder as argument; writes nothing if all is well."""
    folder = sys.argv.pop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        program = seccomp.build_filter()
        privileged = box.privileged()
        box.enter_root(folder, privileged)
        linux.unshare(linux.NEW_PID)
        if os.fork() == 0:
            ours.close()
            limits = box.Limits(memory=1 << 30, disk=1 << 24, processes=16)
            user = box.FIRST_USER if privileged else box.USER
            box.run(theirs, privileged, user, limits, program, lambda: os._exit(0))
        theirs.close()
        answer = json.loads(ours.recv(1 << 13) or b'{"failed": "its process died"}')
    except OSError as error:
        answer = {"failed": str(error)}
    if answer != {"exit": 0}:
        print(answer.get("failed", answer).strip().splitlines()[-1])  # noqa: T201
