"""The host's side of the zygote, the process that kernels are forked from. All calls block."""

from __future__ import annotations

import json
import os
import socket
import subprocess

from start_sdk.errors import InterpreterError
from start_tools.python.parent import PROGRAMS, SANDBOX, Parent, Settings
from start_tools.python.process import START_LIMIT
from start_tools.python.starting import command, environment, last_log_line


class Zygote(Parent):
    """Starts a zygote and forks kernels from it.

    Raises:
        InterpreterError: it cannot be started; the message gives the reason in one line.
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
        """Ends the zygote and all its kernels immediately."""
        self._control.close()
        super().close()

    def _make(self, host: socket.socket, fds: list[int]) -> int:
        socket.send_fds(self._control, [b"fork"], fds)
        _, pidfds, _, _ = socket.recv_fds(self._control, 64, 1)
        if not pidfds:
            raise ConnectionResetError("the kernels' parent has ended")
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
            # The host's death ends the zygote, even if a fork of the host holds the socket open.
            socket.send_fds(self._control, [json.dumps(options).encode()], [host])
        finally:
            os.close(host)
        self._control.settimeout(START_LIMIT)
        answer = json.loads(self._control.recv(1 << 13) or b"{}")
        if "up" not in answer:
            reason = answer.get("failed") or last_log_line(self._folder / "log", process.wait())
            raise InterpreterError(f"the kernels' parent did not start: {reason}")
