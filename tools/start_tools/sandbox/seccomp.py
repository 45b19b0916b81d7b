"""The seccomp filter of a cell: an allowlist of system calls, compiled to classic BPF.

It needs no library at run time. There is no list of forbidden calls to keep complete: a system call
that is not on the list fails.
"""

from __future__ import annotations

import errno
import platform
import struct
from importlib.resources import files

from start_tools.sandbox import linux

_ARCHITECTURES = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}
"""Column in syscalls.txt, AUDIT_ARCH_* of linux/audit.h."""

_LOAD, _EQUAL, _GREATER, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NUMBER, _ARCHITECTURE = 0, 4
"""Offsets in struct seccomp_data."""

_NAMESPACES = (
    linux.NEW_MOUNTS | linux.NEW_CGROUP | linux.NEW_UTS | linux.NEW_IPC
    | linux.NEW_USER | linux.NEW_PID | linux.NEW_NET | 0x80  # and CLONE_NEWTIME
)  # fmt: skip
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_IOCTLS = (
    *range(0x5401, 0x5412),  # terminals: attributes, process group, queue. Not TIOCSTI, 0x5412
    0x5413, 0x5414,          # window size
    0x541B, 0x5421, 0x5422,  # bytes waiting, non-blocking, no controlling terminal
    0x5429,                  # session
    0x5450, 0x5451, 0x5452,  # close-on-exec, signals when there is input
    0x80045430, 0x40045431,  # number and lock of a pseudo-terminal
    0x8912, 0x8913, 0x8915, 0x8919, 0x891B, 0x8927, 0x8933,  # reading the list of interfaces
)  # fmt: skip


def _step(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction; a jump skips `then` or `otherwise` instructions."""
    return struct.pack("HBBI", code, then, otherwise, value)


def _refuse(number: int) -> bytes:
    return _step(_RETURN, 0x00050000 | number)


_PASS = _step(_RETURN, _ALLOW)


def _argument(index: int) -> bytes:
    """Loads the lower half of an argument (both architectures are little-endian)."""
    return _step(_LOAD, 16 + 8 * index)


def _one_of(values: tuple[int, ...]) -> bytes:
    return b"".join(_step(_EQUAL, value, 0, 1) + _PASS for value in values)


_SPECIAL = {
    # glibc falls back to clone, whose flags a filter can see.
    "clone3": _refuse(errno.ENOSYS),
    "clone": (_argument(0) + _step(_ANY_BIT, _NAMESPACES, 1, 0) + _PASS + _refuse(errno.EPERM)),
    # Netlink for libzmq, which aborts without it, but only the protocol that lists interfaces.
    "socket": (
        _argument(0) + _one_of((_AF_UNIX, _AF_INET, _AF_INET6))
        + _step(_EQUAL, _AF_NETLINK, 0, 3) + _argument(2) + _step(_EQUAL, 0, 0, 1) + _PASS
        + _refuse(errno.EAFNOSUPPORT)
    ),
    "ioctl": _argument(1) + _one_of(_IOCTLS) + _refuse(errno.EPERM),
}  # fmt: skip


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


def build_filter() -> bytes:
    """Builds the filter for this machine.

    Raises:
        OSError: syscalls.txt has no numbers for this architecture.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    column, audit = _ARCHITECTURES[machine]
    table = _table(column)
    program = _step(_LOAD, _ARCHITECTURE) + _step(_EQUAL, audit, 1, 0) + _step(_RETURN, _KILL)
    program += _step(_LOAD, _NUMBER)
    for name, steps in _SPECIAL.items():
        program += _step(_EQUAL, table.pop(name), 0, len(steps) // 8) + steps
    for low, high in _ranges(list(table.values())):
        program += _step(_AT_LEAST, low, 0, 2) + _step(_GREATER, high, 1, 0) + _PASS
    return program + _refuse(errno.EPERM)
