"""Reads and writes a kernel's files through descriptors from it, which may be anything.

Each function closes its descriptor.
"""

from __future__ import annotations

import os
import stat
from typing import IO


def write(fd: int, data: bytes) -> None:
    with _regular(fd, "wb") as file:
        file.write(data)


def read(fd: int, most: int) -> bytes:
    with _regular(fd, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most:,} bytes")
    return data


def _regular(fd: int, mode: str) -> IO[bytes]:
    if not stat.S_ISREG(os.fstat(fd).st_mode):  # a folder, or a pipe, which has no end
        os.close(fd)
        raise ValueError("it is not a regular file")
    return open(fd, mode)
