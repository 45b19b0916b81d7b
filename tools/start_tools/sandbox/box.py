"""The sandbox of one kernel, entered after the fork: namespaces, folders, limits, no privileges.

The process that enters is process 1 of the namespace, and becomes the watcher: it starts the
kernel and serves the host's socket. It forwards interrupts, reports what the kernel has used, opens
files of the work folder for the host, and reports how the kernel ended. Everything in the namespace
ends with it, so closing the socket ends a kernel reliably.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import secrets
import select
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from start_tools.sandbox import linux, root
from start_tools.sandbox.seccomp import Filters
from start_tools.sandbox.usage import usage

FOLDERS = ("work", "home", "tmp", "shm")
USER = 1500
"""The only user inside, unless this process is root."""
USERS = range(0x7000_0000, 0x7FFE_0000, 2)
"""As root, every kernel gets a user of its own, and its watcher the next id. systemd's list of user
ids (uids-gids.md) has no use for these, and larger ones do not fit into a signed number."""
TCP = {"rmem": "4096 65536 212992", "wmem": "4096 16384 212992", "max_tw_buckets": "1000"}
"""Limits of TCP in the namespace of a kernel. Buffers are no larger than those of other sockets: by
default a connection, even one not yet accepted, may hold some megabytes."""
FAILED = 70
"""Exit code of a kernel that could not be created."""


@dataclass(frozen=True)
class Limits:
    """What a kernel may use."""

    memory: int
    """Bytes of private memory of one process; a cgroup, if there is one, caps the kernel."""
    disk: int
    """Bytes of its files, including /tmp and /dev/shm."""
    processes: int
    """Number of processes and threads."""


def privileged() -> bool:
    """Whether this is root with all its rights; otherwise a user namespace grants them inside."""
    cap_sys_admin = 21
    return os.getuid() == 0 and linux.has_capability(cap_sys_admin)


def first_user() -> int:
    """Index in `USERS` of a zygote's first kernel. It is random, as others may count there, too.

    Two zygotes with 256 kernels each, all alive, share a user with a probability of 4 in a million.
    """
    return secrets.randbelow(len(USERS))


def enter_root(folder: str, privileged: bool) -> int:
    """Moves this process into a new PID namespace, as its process 1, and into its own root.

    Returns:
        A descriptor of the PID namespace.
    """
    uid, gid = os.getuid(), os.getgid()
    kinds = linux.NEW_MOUNTS | linux.NEW_PID
    linux.unshare(kinds if privileged else kinds | linux.NEW_USER)
    if not privileged:
        linux.map_user(USER, uid, gid)
    first = os.fork()
    if first:
        os.closerange(0, 1 << 16)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) & 0xFF)
    os.setsid()
    os.umask(0o022)
    root.build(folder, USER)
    root.new_proc()
    return os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def enter() -> None:
    """Enters new namespaces; this process is already process 1 of its PID namespace."""
    linux.unshare(
        linux.NEW_MOUNTS | linux.NEW_NET | linux.NEW_IPC | linux.NEW_UTS | linux.NEW_CGROUP
    )
    root.new_proc()
    linux.set_hostname("sandbox")
    linux.raise_loopback()
    for name, value in TCP.items():
        Path(f"/proc/sys/net/ipv4/tcp_{name}").write_text(value, encoding="ascii")


def make_folders(user: int, disk: int) -> None:
    """Mounts the only writable file system and binds its parts where programs expect them."""
    flags = linux.NOSUID | linux.NODEV
    data = f"size={disk},nr_inodes=20000,mode=755,uid={user},gid={user}"
    linux.mount("tmpfs", root.WRITABLE, "tmpfs", flags, data)
    for name in FOLDERS:
        os.mkdir(f"{root.WRITABLE}/{name}", 0o700)
        os.chown(f"{root.WRITABLE}/{name}", user, user)
    tmp = f"{root.WRITABLE}/tmp"  # noqa: S108
    for path in root.interpreter():
        if path.startswith("/tmp/"):  # noqa: S108  # a Python environment in /tmp
            os.makedirs(f"{root.WRITABLE}{path}")
            linux.bind(path, f"{root.WRITABLE}{path}")
    linux.bind(tmp, "/tmp")  # noqa: S108  # where programs expect it
    linux.bind(f"{root.WRITABLE}/shm", "/dev/shm")  # noqa: S108
    terminals = "newinstance,ptmxmode=0666,mode=620,max=16"
    linux.mount("devpts", "/dev/pts", "devpts", linux.NOSUID | linux.NOEXEC, terminals)


def limit(limits: Limits) -> None:
    """Sets the limits of this process and of every process that it starts."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    # What the zygote has imported is shared with it and not counted.
    before = int(status.partition("VmData:")[2].split()[0]) << 10
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_FSIZE, limits.disk),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 1 << 10),
        (resource.RLIMIT_RTPRIO, 0),
        (resource.RLIMIT_MEMLOCK, 1 << 20),
        (resource.RLIMIT_DATA, before + limits.memory),
        (resource.RLIMIT_NPROC, limits.processes),
    ):
        resource.setrlimit(kind, (value, value))


def run(
    host: socket.socket, privileged: bool, user: int, limits: Limits, filters: Filters,
    kernel: Callable[[], None],
) -> None:  # fmt: skip
    """Creates the sandbox, runs `kernel` in it, and watches it. Never returns.

    Args:
        host: the socket that connects this kernel to its owner.
        privileged: whether this is root, so that kernel and watcher each get their own user.
        user: the kernel's user id.
        limits: what the kernel may use.
        filters: the compiled seccomp filters.
        kernel: runs the kernel; does not return either.
    """
    enter()
    make_folders(user, limits.disk)
    guard(host, privileged, user, limits, filters, kernel)


def guard(
    host: socket.socket, privileged: bool, user: int, limits: Limits, filters: Filters,
    kernel: Callable[[], None], owner: int | None = None,
) -> None:  # fmt: skip
    """Does the same as `run` once the namespaces and folders exist. Never returns.

    `owner` is a pidfd of a process to end with.
    """
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # until a cell runs (shell.py)
            os.setsid()
            if not privileged:
                # In its own user namespace, processes are counted for this kernel alone.
                linux.unshare(linux.NEW_USER)
                linux.map_user(user, user, user)
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
            limit(limits)
            linux.become(user if privileged else None)
            linux.restrict_files([root.WRITABLE, "/tmp", "/dev/shm", "/dev/pts"])  # noqa: S108
            linux.set_dumpable(True)  # a change of user clears it, which closes /proc/self
            linux.install_filter(filters.kernel)
            os.chdir(f"{root.WRITABLE}/work")
            kernel()
        except BaseException:
            with contextlib.suppress(OSError):
                host.send(json.dumps({"failed": traceback.format_exc()[-3000:]}).encode())
        os._exit(FAILED)
    keep_open([host.fileno(), *([owner] if owner else [])])
    # A different user, which a cell cannot inspect; its real user is the cell's, to interrupt it.
    linux.become(user + 1 if privileged else None, real=user)
    linux.set_dumpable(False)
    linux.install_filter(filters.watcher)
    _watch(host, pid, owner)


def keep_open(fds: list[int]) -> None:
    """Closes all descriptors except the standard streams and these."""
    edges = sorted(fds)
    for low, high in zip([2, *edges], [*edges, 1 << 16], strict=True):
        os.closerange(low + 1, high)


def _watch(host: socket.socket, kernel: int, owner: int | None) -> None:
    """Serves the host until the kernel or the host ends."""
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    def interrupt(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(kernel, signal.SIGINT)

    signal.signal(signal.SIGINT, interrupt)
    _reap(host, kernel)  # it may have ended before the handler was set
    watched = [read_end, host.fileno(), *([owner] if owner else [])]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if owner in ready:
            os._exit(0)
        if read_end in ready:
            os.read(read_end, 512)
            _reap(host, kernel)
        if host.fileno() in ready:
            request = host.recv(1 << 15)
            if not request:
                os._exit(0)
            with contextlib.suppress(OSError):
                _serve(host, json.loads(request))


def _serve(host: socket.socket, request: dict[str, Any]) -> None:
    fds = []
    try:
        if "open" in request:
            fds.append(linux.open_beneath(f"{root.WRITABLE}/work", request["open"], request["new"]))
            answer: dict[str, Any] = {"opened": request["open"]}
        else:
            answer = {"usage": usage(**request["usage"])}
    except OSError as error:
        answer = {"error": error.strerror}
    answer["number"] = request["number"]
    socket.send_fds(host, [json.dumps(answer).encode()], fds)
    for fd in fds:
        os.close(fd)


def _reap(host: socket.socket, kernel: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return
        if pid and os.WIFSTOPPED(status):
            if pid == kernel:  # stopped, it would never answer again
                os.kill(kernel, signal.SIGKILL)
            continue
        if pid == kernel:
            with contextlib.suppress(OSError):
                host.send(json.dumps({"exit": os.waitstatus_to_exitcode(status)}).encode())
            os._exit(0)
        if pid == 0:
            return
