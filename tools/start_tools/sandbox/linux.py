"""System calls that build a sandbox and that Python's standard library does not wrap.

They are made in the process itself, after a fork. No helper program is executed, so a kernel keeps
what its parent has imported.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Iterator

_libc = ctypes.CDLL(None, use_errno=True)

NEW_MOUNTS, NEW_CGROUP, NEW_UTS, NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
"""CLONE_NEW*: kinds of namespaces."""

NOSUID, NODEV, NOEXEC, BIND, MOVE, RECURSIVE, PRIVATE = 2, 4, 8, 4096, 8192, 16384, 1 << 18
"""MS_*: flags of mount."""
READ_ONLY = 1
"""MOUNT_ATTR_RDONLY; NOSUID and NODEV are the same here as in mount."""

# Numbers that are the same on every architecture.
_OPENAT2 = 437
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 442, 444, 445, 446
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 4, 22, 24
_PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 28, 38, 47


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


def _prctl(option: int, *arguments: int) -> int:
    padded = [*arguments, 0, 0, 0, 0][:4]
    return int(_libc.prctl(option, *map(ctypes.c_ulong, padded)))


def unshare(kinds: int) -> None:
    """Moves this process (for NEW_PID: its next child) into new namespaces."""
    _checked(_libc.unshare(kinds), f"unshare {kinds:#x}")


def join_pid_namespace(fd: int) -> None:
    """Makes the next child start in a PID namespace."""
    _checked(_libc.setns(fd, NEW_PID), "setns")


def map_user(inside: int, uid: int, gid: int) -> None:
    """Maps the only user of a new user namespace, `inside`, to `uid` outside."""
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{inside} {uid} 1"),
        ("gid_map", f"{inside} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(line)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    texts = [text.encode() or None for text in (source, target, kind, data)]
    result = _libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3])
    _checked(result, f"mount {kind or source} on {target}")


def bind(source: str, target: str) -> None:
    """Makes a folder or file appear at a second path, with everything mounted below it."""
    mount(source, target, "", BIND | RECURSIVE)


def restrict_mount(target: str, flags: int, *, recursive: bool = False) -> None:
    """Restricts a mount: READ_ONLY, NOSUID, NODEV, NOEXEC. Needs Linux 5.12."""
    attributes = struct.pack("QQQQ", flags, 0, PRIVATE, 0)
    at_fdcwd, at_recursive = -100, 0x8000
    result = _libc.syscall(
        _MOUNT_SETATTR,
        at_fdcwd,
        target.encode(),
        at_recursive if recursive else 0,
        attributes,
        ctypes.c_size_t(len(attributes)),
    )
    _checked(result, f"mount_setattr {target}")


def unmount(target: str) -> None:
    mnt_detach = 2
    _checked(_libc.umount2(target.encode(), mnt_detach), f"umount {target}")


def enter_root(folder: str) -> None:
    """Makes `folder`, a mount, the root; the old root is unreachable afterwards."""
    os.chdir(folder)
    # Stacks the two roots, then removes the upper one, which is the old root.
    _checked(_libc.pivot_root(b".", b"."), "pivot_root")
    unmount(".")
    os.chdir("/")


def raise_loopback() -> None:
    """Brings up `lo`, the only interface of a new network namespace."""
    siocsifflags, iff_up, iff_running = 0x8914, 0x1, 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", iff_up | iff_running)
        fcntl.ioctl(any_socket, siocsifflags, request)


def set_hostname(name: str) -> None:
    _checked(_libc.sethostname(name.encode(), len(name)), "sethostname")


def has_capability(number: int) -> bool:
    """Whether this process holds a capability, given by its number in linux/capability.h."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> number & 1)


def become(uid: int | None, real: int | None = None) -> None:
    """Drops every privilege permanently.

    Args:
        uid: the user to become, or None to stay the same user.
        real: a different real user, if any: the process may then signal that user's processes.
    """
    number = 0
    # Before the change of user, which removes the right to do this.
    while _prctl(_PR_CAPBSET_DROP, number) == 0:
        number += 1
    noroot_and_locks = 0x2F  # no capabilities for uid 0, nor kept over setuid; all locked
    _prctl(_PR_SET_SECUREBITS, noroot_and_locks)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid if real is None else real, uid, uid)
        os.setresuid(uid if real is None else real, uid, uid)
    clear_all_ambient = 4
    _prctl(_PR_CAP_AMBIENT, clear_all_ambient)
    header, none = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6)
    _checked(_libc.capset(header, none), "capset")
    _checked(_prctl(_PR_SET_NO_NEW_PRIVS, 1), "no_new_privs")


def set_dumpable(value: bool) -> None:
    """Sets whether other processes of this user may inspect this one (ptrace, /proc/PID/mem)."""
    _checked(_prctl(_PR_SET_DUMPABLE, int(value)), "dumpable")


def install_filter(program: bytes) -> None:
    """Installs a seccomp filter permanently. Needs no_new_privs."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    mode_filter = 2
    argument = Program(len(program) // 8, program)
    result = _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(mode_filter), ctypes.byref(argument), 0, 0)
    _checked(result, "seccomp")


def restrict_files(writable: list[str]) -> bool:
    """Restricts this process with Landlock, permanently.

    Nothing outside `writable` can be changed, and no process outside can be signalled. This is a
    second barrier behind the read-only root.

    Returns:
        Whether this Linux has Landlock.
    """
    version = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    execute, write_file, read_file, read_dir = 1, 2, 4, 8
    # ABI 2 adds REFER (13), ABI 3 TRUNCATE (14), ABI 5 device ioctls (15, left unrestricted).
    rights = (1 << min(13 + (version >= 2) + (version >= 3), 15)) - 1
    scoped = 3 if version >= 6 else 0  # abstract sockets and signals
    ruleset = struct.pack("QQQ", rights, 0, scoped)[: 24 if version >= 6 else 8]
    fd = _checked(
        _libc.syscall(_LANDLOCK_CREATE, ruleset, ctypes.c_size_t(len(ruleset)), 0), "landlock"
    )
    looking = execute | read_file | read_dir
    devices = looking | write_file
    rules = [("/", looking), ("/dev", devices), ("/proc/self", devices)]
    for path, allowed in rules + [(path, rights) for path in writable]:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", allowed & rights, parent)
        _checked(_libc.syscall(_LANDLOCK_ADD, fd, 1, rule, 0), f"landlock {path}")
        os.close(parent)
    _checked(_libc.syscall(_LANDLOCK_RESTRICT, fd, 0), "landlock")
    os.close(fd)
    return True


@contextlib.contextmanager
def as_real_user() -> Iterator[None]:
    """Accesses files as the real user (see `become`), to whom they belong."""
    _libc.setfsuid(os.getuid())
    _libc.setfsgid(os.getgid())
    try:
        yield
    finally:
        _libc.setfsuid(os.geteuid())
        _libc.setfsgid(os.getegid())


def open_beneath(folder: str, path: str, new: bool) -> int:
    """Opens a file below a folder that belongs to another user, without following links.

    A cell may have made the links: one could lead to this process's own memory under /proc.

    Args:
        folder: path of the folder.
        path: path of the file, relative to the folder.
        new: create or truncate the file for writing; otherwise open it for reading.
    """
    flags = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # non-blocking: it may be a pipe
    flags |= os.O_WRONLY | os.O_CREAT | os.O_TRUNC if new else os.O_RDONLY
    no_magic, no_links, beneath = 2, 4, 8
    how = struct.pack("QQQ", flags, 0o644 if new else 0, no_magic | no_links | beneath)
    with as_real_user():
        parent = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            size = ctypes.c_size_t(len(how))
            return _checked(_libc.syscall(_OPENAT2, parent, path.encode(), how, size), path)
        finally:
            os.close(parent)
