"""The command, environment and private folder that every process of ours is started with."""

from __future__ import annotations

import os
import site
import sys
import tempfile
from pathlib import Path

import start_tools
from start_sdk.errors import InterpreterError

BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop()); import start_tools.sandbox; del sys.path[0];"
    "from start_tools.sandbox.{module} import main; main()"
)
"""Imports start_tools from where this process found it, and nothing else from that folder."""
PASSED_ON = ("LD_LIBRARY_PATH", "TZ")
"""Environment variables of the host that are passed on to a kernel unchanged."""


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs `main` of a module of start_tools.sandbox in a new interpreter."""
    root = str(Path(start_tools.__file__).parents[1])
    return [sys.executable, "-P", "-c", BOOT.format(module=module), *arguments, root]


def environment(folder: Path, path: str) -> dict[str, str]:
    """The complete `os.environ` of a cell: of the host's, only what locates programs and libraries.

    Args:
        folder: the parent of the kernel's private folders.
        path: where to look for programs, after the interpreter's folder.
    """
    home = folder / "home"
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
        "PATH": f"{Path(sys.executable).parent}:{path}",
        "PYTHONUSERBASE": site.getuserbase(),
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "TMPDIR": str(folder / "tmp"),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "PAGER": "cat",
        "GIT_PAGER": "cat",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # Sets of strings print in the same order each time, so a repeated cell prints the same.
        "PYTHONHASHSEED": "0",
        # Long numbers print and parse: output and CPU time have limits of their own.
        "PYTHONINTMAXSTRDIGITS": "0",
    }


def private_folder() -> Path:
    """Creates a folder that only this user can read, with a path short enough for sockets in it.

    Raises:
        InterpreterError: the path of temporary files is too long.
    """
    folder = Path(tempfile.mkdtemp(prefix="start-"))
    if len(str(folder)) > 90:
        folder.rmdir()
        raise InterpreterError(f"path too long for a socket, set TMPDIR to a shorter one: {folder}")
    return folder


def last_log_line(log: Path, exit_code: int) -> str:
    """Why a process ended: the last line that it wrote, or its exit code."""
    said = [line.strip() for line in log.read_text("utf-8", "replace").split("\n") if line.strip()]
    return said[-1] if said else f"exit code {exit_code}"
