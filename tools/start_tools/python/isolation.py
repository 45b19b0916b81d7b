"""Finds out which sandbox this machine supports. Each level is tested once per process."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
from typing import Literal, NamedTuple

from start_sdk.errors import InterpreterError
from start_tools.python import cgroups
from start_tools.python.starting import command

Level = Literal["namespaces", "bubblewrap", "plain"]
LEVELS: tuple[Level, ...] = ("namespaces", "bubblewrap", "plain")
"""From the strongest to the weakest."""
_SANDBOXED = (
    "cells see no file, process or network of this machine; not protected from: holes in the Linux"
    " kernel, and use of CPU up to the limits"
)
PROTECTS = {
    "namespaces": _SANDBOXED,
    "bubblewrap": f"{_SANDBOXED}; made by the program bwrap, so that a kernel takes a second to"
    " start, and the number of its files is not limited",
    "plain": "cells run as you, with your files and your network",
}
_NO_CGROUPS = "; no cgroup of yours caps memory here: that of a kernel is measured, not capped"


class Isolation(NamedTuple):
    """What separates a cell from the machine."""

    level: Level
    reason: str
    """One line: why this level was chosen, and what it does not protect from."""


def choose(wanted: Level | Literal["auto"]) -> Isolation:
    """Chooses the isolation level. Blocks briefly the first time.

    Raises:
        InterpreterError: the requested level is not available on this machine.
    """
    if wanted == "plain":
        return Isolation("plain", f"you asked for it: {PROTECTS['plain']}")
    missing: list[str] = []
    for level in LEVELS if wanted == "auto" else (wanted,):
        problem = trouble(level)
        if not problem:
            because = f"no {', no '.join(missing)}: " if missing else ""
            measured = level != "plain" and not cgroups.cap_memory()
            return Isolation(level, because + PROTECTS[level] + measured * _NO_CGROUPS)
        missing.append(f"{level} ({problem})")
    raise InterpreterError(
        f"isolation={wanted!r} is not available here: {problem};"
        ' isolation="auto" takes the strongest available level'
    )


@functools.cache
def trouble(level: Level) -> str:
    """Why a level is not available, in a few words; "" if it is."""
    if level == "plain":
        return ""
    if sys.platform != "linux":
        return "it needs Linux"
    folder = tempfile.mkdtemp(prefix="start-")
    try:
        if level == "bubblewrap":
            from start_tools.python.bubbles import arguments  # imports Jupyter

            wanted = [*arguments(1 << 24), *command("probe", "")]
        else:
            wanted = command("probe", folder)
        tried = subprocess.run(wanted, capture_output=True, text=True, timeout=30, env={})
    except (InterpreterError, OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    said = (tried.stdout + tried.stderr).strip()
    return said.splitlines()[-1] if said else ""
