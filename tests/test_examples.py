"""The programs in examples/ print what their page in the docs shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
TORCH = {"coins"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.torch] if n in TORCH else []) for n in NAMES],
)
def test_an_example_prints_what_the_docs_show(name: str) -> None:
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    section = page.partition(f"## examples/{name}.py\n")[2]
    shown = re.search(r"^````text\n(.*?)\n````$", section, re.DOTALL | re.MULTILINE)
    assert shown, "docs/examples.md has no section for it"
    ran = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout.rstrip("\n")) == (0, shown[1]), ran.stderr
