"""Every program that samples, killed at random moments, comes to the same rows and report."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")

from start_sdk.batch import read_rows

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
ALONE = "--backend-option deterministic=true max_batch=4 --max-concurrency 4 --out"
LINES = {
    "evaluate": f"--suite tiny --n 5 --staged --hints none end no-tool {ALONE}",
    "hint_matrix": f"--n 3 --ids general check-logic {ALONE}",
    "tts": f"--n 2 --rounds 2 --waits 2 --votes 3 {ALONE}",
}
REPORTS = {"evaluate": "report", "hint_matrix": "matrix", "tts": "tts"}
# Two families of short thoughts: a world that is small enough.
PROGRAM = """
import sys
from importlib import import_module
from recipes.tiny.families import GROUPS, MATH
GROUPS["all"] = GROUPS["math"] = MATH[7:9]
sys.exit(import_module(f"recipes.{sys.argv.pop(1)}").main())
"""


def start(program: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, program, *LINES[program].split(), folder],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def rows(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in read_rows(folder):
        assert row.job.key not in found and row.result
        ids = [segment["token_ids"] for segment in row.result["trace"]["segments"]]
        verdict = {name: row.result[name] for name in ("answer", "correct", "how", "calls")}
        found[row.job.key] = (ids, verdict, row.result.get("steps"))
    return found


@pytest.mark.parametrize("program", LINES)
def test_what_is_killed_comes_to_the_same_rows_and_report(program: str, tmp_path: Path) -> None:
    whole, killed, lot = tmp_path / "whole", tmp_path / "killed", random.Random(program)
    assert start(program, whole).wait() == 0
    kills = 0
    for _ in range(2):
        process = start(program, killed)
        try:
            assert process.wait(timeout=lot.uniform(4, 7)) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills and start(program, killed).wait() == 0
    assert rows(killed) == rows(whole)
    for kind in ("md", "json", "png"):
        name = f"{REPORTS[program]}.{kind}"
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
