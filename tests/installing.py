"""Packages of someone else's (tests/plugins), installed as pip does it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLUGINS = Path(__file__).parent / "plugins"


def install(folder: Path, *projects: Path) -> Path:
    """Installs projects into a folder, which is returned."""
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    options = ["--no-index", "--disable-pip-version-check", "--target", str(folder)]
    subprocess.run([*pip, *options, *map(str, projects)], check=True, timeout=120)
    return folder
