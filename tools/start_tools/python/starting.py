"""What every process of ours is started with: a command, an environment, a private folder."""

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
"""Takes start_tools from where it lies here, and nothing else from there."""
PASSED_ON = ("LD_LIBRARY_PATH", "TZ")
"""Environment variables of the host that a kernel gets as they are."""


def command(module: str, *arguments: str) -> list[str]:
    """Runs `main` of a module of start_tools.sandbox in a fresh interpreter."""
    root = str(Path(start_tools.__file__).parents[1])
    return [sys.executable, "-P", "-c", BOOT.format(module=module), *arguments, root]


def environment(folder: Path, path: str) -> dict[str, str]:
    """All that a cell finds in `os.environ`: nothing of the host's but where programs lie.

    Args:
        folder: where the kernel's private folders lie.
        path: where programs are looked for, after those beside the interpreter.
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
        # Sets of strings print in the same order each time: a cell run again says the same.
        "PYTHONHASHSEED": "0",
    }


def private_folder() -> Path:
    """A fresh folder, readable by this user alone, whose name leaves room for that of a socket.

    Raises:
        InterpreterError: its name is too long.
    """
    folder = Path(tempfile.mkdtemp(prefix="start-"))
    if len(str(folder)) > 90:
        folder.rmdir()
        raise InterpreterError(f"too long a path for a socket, set TMPDIR to another: {folder}")
    return folder


def last_words(log: Path, exit_code: int) -> str:
    """Why a process ended: the last line that it wrote."""
    said = [line.strip() for line in log.read_text("utf-8", "replace").split("\n") if line.strip()]
    return said[-1] if said else f"exit code {exit_code}"
