"""Turns a fresh Python process into one ipykernel.

Without a sandbox, the process is started by start_tools/python/plain.py, which writes one line of
JSON to its standard input. It becomes a standard ipykernel that speaks Jupyter's protocol, except
for what a model and its host need:

- no port and no connection file: all sockets are in one private folder;
- the whole process group ends with the host, however the host ended;
- errors are short and name no paths (shell.py);
- messages are bounded in size, and output goes to the cell that wrote it (streams.py).
"""

# mypy: disable-error-code="no-untyped-call"
# (ipykernel is only partly annotated.)
from __future__ import annotations

import asyncio.selector_events
import contextlib
import fcntl
import importlib
import json
import logging
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any, ClassVar

import zmq
from ipykernel import kernelapp
from ipykernel.iostream import IOPubThread
from jupyter_client.session import Session
from traitlets.config import Config
from zmq.eventloop.zmqstream import ZMQStream

from start_tools.sandbox import script
from start_tools.sandbox.shell import Kernel, hide_paths
from start_tools.sandbox.streams import Streams, keep_parents, packer


def end_with_host(stdin: int) -> None:
    """Has this process group killed when the other end of the pipe `stdin` is closed.

    By Linux, or else by a process for that: neither needs this process's interpreter lock, so even
    C code that never returns ends. The pipe is then moved away from where cells would read input.
    """
    pipe = os.dup(stdin)
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    elif child := os.fork():
        os.waitpid(child, 0)
    elif os.fork():
        os._exit(0)  # the other is no child of the kernel, for which a cell might wait
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is meant for cells
        select.select([pipe], [], [])
        os.killpg(0, signal.SIGKILL)
    if select.select([pipe], [], [], 0)[0]:
        sys.exit("the host is gone")
    os.dup2(os.open(os.devnull, os.O_RDONLY), stdin)


class PrivateIOPub(IOPubThread):
    """Receives the output of forked children over a socket in the folder, not over a TCP port."""

    address = ""

    def _setup_pipe_in(self) -> None:
        self._pipe_uuid = os.urandom(16)
        pub: Any = self.socket
        socket = pub.context.socket(zmq.PULL)
        socket.linger = 0
        socket.bind(self.address)
        self._pipe_in = ZMQStream(socket, self.io_loop)
        self._pipe_in.on_recv(self._handle_pipe_msg)

    def _setup_pipe_out(self) -> tuple[zmq.Context[Any], zmq.Socket[Any]]:
        context = zmq.Context()
        socket = context.socket(zmq.PUSH)
        socket.linger = 3000
        socket.connect(self.address)
        return context, socket


class App(kernelapp.IPKernelApp):
    """An ipykernel without files, ports, or a user's configuration."""

    def load_config_file(self, *args: object, **kwargs: object) -> None: ...
    def init_connection_file(self) -> None: ...
    def write_connection_file(self, **kwargs: object) -> None: ...
    def init_heartbeat(self) -> None: ...

    sockets: ClassVar[dict[int, int]] = {}
    """Descriptors of sockets that already listen, by the number that replaces the port."""

    def _try_bind_socket(self, s: zmq.Socket[Any], port: int) -> int:
        if port in self.sockets:
            s.setsockopt(zmq.USE_FD, self.sockets[port])
        if s.type == zmq.XPUB:
            # Wait for a slow host rather than silently drop its messages.
            s.setsockopt(zmq.XPUB_NODROP, 1)
        return int(super()._try_bind_socket(s, port))

    def init_io(self) -> None:
        """Sends both streams to one buffer, which keeps their order."""
        super().init_io()
        sys.stderr = sys.stdout


def make_app(connection: Any, limit: int, parent: int = 0) -> App:
    """Creates the ipykernel application.

    Args:
        connection: where it listens, as in a connection file.
        limit: characters that a message keeps from each end of a text.
        parent: id of the process to end with; 0 for none.
    """
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.cache_size = 0  # or `Out` keeps every result forever
    config.Completer.use_jedi = False
    app = App.instance(
        config=config,
        log_level=logging.CRITICAL,  # logs would appear in a cell's output
        capture_fd_output=False,
        kernel_class=Kernel,
        default_extensions=[],
        parent_handle=parent,
    )
    app.session = Session(parent=app, pack=packer(limit), digest_history_size=64)
    app.load_connection_info(connection)
    # A sandbox has no folder for it, but its network namespace has its own abstract names.
    PrivateIOPub.address = "ipc://@start-forks" if App.sockets else f"ipc://{app.ip}-forks"
    kernelapp.IOPubThread = PrivateIOPub  # type: ignore[attr-defined]
    return app


def main() -> None:
    """Runs a kernel without a sandbox. Never returns: the kernel ends with a signal."""
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
        options = json.loads(pipe.readline())
    end_with_host(sys.stdin.fileno())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        # When memory runs out, Linux kills the kernel before the host.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    for name in options["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # The parent id backs up `end_with_host`, in case a fork of the host holds the pipe open.
    app = make_app(options["connection"], options["limit"], os.getppid())
    prepare(app)
    app.start()


def prepare(app: App) -> None:
    """Sets up everything before the first message."""
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    app.initialize([])  # 50 ms faster without a debugger
    del sys.modules["debugpy"]
    sys.path.insert(0, "")  # a cell can import a module that another cell wrote
    shell: Any = app.shell
    shell.kernel.streams = Streams(sys.stdout)
    script.patch_asyncio()
    # Has it write as Python 3.11 does: seccomp.py may not allow `sendmsg`.
    asyncio.selector_events.__dict__["_HAS_SENDMSG"] = False
    keep_parents(shell)
    hide_paths()
    sys.setswitchinterval(1e-4)  # output passes through three threads: shortens a round trip


def run_forked(connection: Any, limit: int, sockets: dict[int, int], host: socket.socket) -> None:
    """Runs a kernel inside its sandbox (box.py). Never returns.

    Args:
        connection: as in `make_app`.
        limit: as in `make_app`.
        sockets: see `App.sockets`.
        host: receives a message when the kernel is ready, and is then closed.
    """
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # or all kernels would draw the same numbers
    App.sockets = sockets
    app = make_app(connection, limit)
    prepare(app)
    shell: Any = app.shell
    shell.run_cell("None", silent=True)  # does what only a first cell does
    host.send(b'{"ready": true}')
    host.close()
    app.start()
