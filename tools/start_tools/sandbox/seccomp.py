"""The seccomp filter of a cell: an allowlist of system calls, compiled to classic BPF.

It needs no library at run time. There is no list of forbidden calls to keep complete: a system call
that is not on the list fails. A call with many purposes is allowed with the arguments listed here.
"""

from __future__ import annotations

import errno
import platform
import struct
from importlib.resources import files
from typing import NamedTuple

from start_tools.sandbox import linux

_ARCHITECTURES = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}
"""Column in syscalls.txt, AUDIT_ARCH_* of linux/audit.h."""

_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_AND = 0x54
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NUMBER, _ARCHITECTURE = 0, 4
"""Offsets in struct seccomp_data."""

_NAMESPACES = (
    linux.NEW_MOUNTS | linux.NEW_CGROUP | linux.NEW_UTS | linux.NEW_IPC
    | linux.NEW_USER | linux.NEW_PID | linux.NEW_NET | 0x80  # and CLONE_NEWTIME
)  # fmt: skip
_CLONE_FILES, _CLONE_THREAD = 0x400, 0x10000
_MAP_HUGETLB = 0x40000
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_IP, _SOCKET, _TCP, _UDP, _IPV6 = 0, 1, 6, 17, 41
"""Protocols and levels of socket options."""
_IOCTLS = (
    *range(0x5401, 0x5412),  # terminals: attributes, process group, queue. Not TIOCSTI, 0x5412
    0x5413, 0x5414,          # window size
    0x541B, 0x5421, 0x5422,  # bytes waiting, non-blocking, no controlling terminal
    0x5429,                  # session
    0x5450, 0x5451, 0x5452,  # close-on-exec, signals when there is input
    0x80045430, 0x40045431,  # number and lock of a pseudo-terminal
)  # fmt: skip
"""Not the list of interfaces: through a kernel's sockets, which the host made, it is the host's."""
# Of fcntl, nothing that reaches others: no leases or notices of changes, which work on files of the
# host, no signals, and no larger pipes, which are counted for the host's user.
_FCNTLS = (
    *range(5), 1030,  # duplicate, flags of a descriptor and of a file
    5, 36,            # who holds a lock
    1032,             # size of a pipe
)  # fmt: skip
_LOCKS = (6, 7, 37, 38)
"""F_SETLK, F_SETLKW and the same for open file descriptions."""
_PRCTLS = (
    1, 2, 3,               # signal when the parent ends, and whether others may inspect this
    15, 16,                # name of a thread
    21, 23, 47,            # filters and capabilities, to read
    29, 30,                # timer slack
    36, 37, 38, 39,        # adopt orphans, no new privileges
    41, 42, *range(50, 57) # huge pages, vectors, speculation, pointer authentication
)  # fmt: skip
_OPTIONS = {
    # reuse, broadcast, keep alive, urgent data, priority, linger, credentials, low-water mark,
    # time-outs, timestamps
    _SOCKET: (2, 6, 9, 10, 12, 13, 15, 16, 18, 20, 21, 29, 63, 66, 67),
    # type of service, hops, address of arrival, errors, discovery of the MTU, a free address
    _IP: (1, 2, 8, 10, 11, 12, 13, 15, 24),
    _IPV6: (16, 23, 25, 26, 49, 51, 66, 67),
    # no delay, cork, keep alive, retries, deferred accept, acknowledgements, time-out, fast open
    _TCP: (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 18, 23, 25, 30),
}
"""Not filters, multicast groups or other protocols: they use memory that no limit counts."""
_BUFFERS = (7, 8)
"""SO_SNDBUF and SO_RCVBUF."""


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; a jump skips `then` or `otherwise` instructions."""
    return struct.pack("HBBI", code, then, otherwise, value)


def _refuse(number: int) -> bytes:
    return _step(_RETURN, 0x00050000 | number)


_PASS = _step(_RETURN, _ALLOW)
_PRETEND = _refuse(0)
"""The call succeeds and does nothing."""
_EPERM = _refuse(errno.EPERM)


def _argument(index: int) -> bytes:
    """Loads the lower half of an argument (both architectures are little-endian)."""
    return _step(_LOAD, 16 + 8 * index)


def _if(value: int, then: bytes) -> bytes:
    """Runs `then`, which returns, if the loaded argument has this value."""
    return _step(_EQUAL, value, 0, len(then) // 8) + then


def _one_of(values: tuple[int, ...], result: bytes = _PASS) -> bytes:
    return b"".join(_if(value, result) for value in values)


def _only(index: int, *values: int) -> bytes:
    """Refuses all other values of an argument."""
    return _argument(index) + _one_of(values) + _EPERM


def _not_watcher(index: int) -> bytes:
    """Refuses 1 as a process id: it is the watcher of this kernel (box.py)."""
    return _argument(index) + _if(1, _EPERM) + _PASS


def _set_option() -> bytes:
    steps = _argument(1)
    for level, names in _OPTIONS.items():
        # Linux, too, makes buffers smaller than requested.
        pretend = _one_of(_BUFFERS, _PRETEND) if level == _SOCKET else b""
        steps += _if(level, _argument(2) + _one_of(names) + pretend + _refuse(errno.ENOPROTOOPT))
    return steps + _refuse(errno.ENOPROTOOPT)


_OF_A_THREAD = (
    "kill", "tkill", "rt_sigqueueinfo", "pidfd_open",
    "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
)  # fmt: skip
"""Calls whose first argument is the id of a process or thread; libzmq passes that of its own."""
_INTERNET = _argument(2) + _one_of((0, _TCP, _UDP)) + _EPERM
_SPECIAL = {
    # glibc falls back to clone, whose flags a filter can see.
    "clone3": _refuse(errno.ENOSYS),
    # A thread with descriptors of its own could hide them from the watcher.
    "clone": (
        _argument(0) + _step(_ANY_BIT, _NAMESPACES, 0, 1) + _EPERM
        + _step(_AND, _CLONE_THREAD | _CLONE_FILES) + _if(_CLONE_THREAD, _EPERM) + _PASS
    ),
    "close_range": _only(2, 0, 4),  # not CLOSE_RANGE_UNSHARE, for the same reason
    # libzmq aborts without netlink, unless this is the error.
    "socket": (
        _argument(0) + _if(_AF_UNIX, _PASS) + _if(_AF_NETLINK, _refuse(errno.EOPNOTSUPP))
        + _if(_AF_INET, _INTERNET) + _if(_AF_INET6, _INTERNET) + _refuse(errno.EAFNOSUPPORT)
    ),
    "socketpair": _only(0, _AF_UNIX),
    "setsockopt": _set_option(),
    "ioctl": _only(1, *_IOCTLS),
    # A lock would also hold for the host's files and for other kernels, and no limit counts it.
    # Programs such as SQLite do not work if locks fail, so they seem to succeed.
    "fcntl": _argument(1) + _one_of(_LOCKS, _PRETEND) + _one_of(_FCNTLS) + _EPERM,
    "flock": _PRETEND,
    # A cell's own files are in memory: these would only write out the host's.
    "sync": _PRETEND,
    "syncfs": _PRETEND,
    "prctl": _only(0, *_PRCTLS),
    # No limit counts reserved huge pages.
    "mmap": _argument(3) + _step(_ANY_BIT, _MAP_HUGETLB, 0, 1) + _refuse(errno.ENOMEM) + _PASS,
    # Without cgroups, the watcher has the same user as the cell, which could blind or stop it.
    "prlimit64": _only(0, 0),
    "setpriority": _argument(0) + _if(0, _only(1, 0)) + _EPERM,
    **dict.fromkeys(_OF_A_THREAD, _not_watcher(0)),
    **dict.fromkeys(("tgkill", "rt_tgsigqueueinfo"), _not_watcher(1)),
}  # fmt: skip
_SENDING = ("sendmsg", "sendmmsg")
"""Calls that can send descriptors."""


def _table(column: int) -> dict[str, int]:
    lines = (
        files("start_tools.sandbox")
        .joinpath("syscalls.txt")
        .read_text(encoding="ascii")
        .splitlines()
    )
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def _ranges(numbers: list[int]) -> list[tuple[int, int]]:
    """Sorted numbers as pairs of first and last."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


class Filters(NamedTuple):
    kernel: bytes
    watcher: bytes
    """It may always send descriptors: those of files that the host opens."""


def build_filters(*, own_user: bool) -> Filters:
    """Builds the filters for this machine.

    Args:
        own_user: whether the kernel has a user of its own, to whom descriptors that it sends are
            counted until they are received.

    Raises:
        OSError: syscalls.txt has no numbers for this architecture.
    """
    watcher = _build(_SPECIAL)
    refused = dict.fromkeys(_SENDING, _EPERM)
    return Filters(watcher if own_user else _build(_SPECIAL | refused), watcher)


def _build(special: dict[str, bytes]) -> bytes:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    column, audit = _ARCHITECTURES[machine]
    table = _table(column)
    program = _step(_LOAD, _ARCHITECTURE) + _step(_EQUAL, audit, 1, 0) + _step(_RETURN, _KILL)
    program += _step(_LOAD, _NUMBER)
    for name, steps in special.items():
        program += _if(table.pop(name), steps)
    for low, high in _ranges(list(table.values())):
        program += _step(_AT_LEAST, low, 0, 2) + _step(_GREATER, high, 1, 0) + _PASS
    return program + _EPERM
