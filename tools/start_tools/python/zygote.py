"""The process that kernels are forked from, as the host holds it. All calls here block."""

from __future__ import annotations

import json
import os
import socket
import subprocess

from start_sdk.errors import InterpreterError
from start_tools.python.parent import PROGRAMS, SANDBOX, Parent, Settings
from start_tools.python.process import START_LIMIT
from start_tools.python.starting import command, environment, last_words


class Zygote(Parent):
    """
    Raises:
        InterpreterError: it cannot be started; the reason, in one line.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        (self._folder / "root").mkdir()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._start(theirs)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise InterpreterError(f"the kernels' parent did not start: {error}") from error
            raise

    def close(self) -> None:
        """Ends it and all its kernels, at once."""
        self._control.close()
        super().close()

    def _make(self, host: socket.socket, fds: list[int]) -> int:
        socket.send_fds(self._control, [b"fork"], fds)
        _, pidfds, _, _ = socket.recv_fds(self._control, 64, 1)
        if not pidfds:
            raise ConnectionResetError("the kernels' parent is gone")
        return pidfds[0]

    def _start(self, theirs: socket.socket) -> None:
        host = os.pidfd_open(os.getpid())
        try:
            with theirs, open(self._folder / "log", "wb") as log:
                process = subprocess.Popen(
                    command("zygote"),
                    stdin=theirs.fileno(),
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env={**environment(SANDBOX, PROGRAMS), "USER": "sandbox"},
                    start_new_session=True,
                )
            self._started.append(process)
            options = {**self.options(), "folder": str(self._folder / "root")}
            # Its death ends the zygote, even where a fork of this process holds the socket open.
            socket.send_fds(self._control, [json.dumps(options).encode()], [host])
        finally:
            os.close(host)
        self._control.settimeout(START_LIMIT)
        answer = json.loads(self._control.recv(1 << 13) or b"{}")
        if "up" not in answer:
            said = answer.get("failed") or last_words(self._folder / "log", process.wait())
            raise InterpreterError(f"the kernels' parent did not start: {said}")
