"""The figures of START's paper for the suites that we load (paper.toml), to compare ours with."""

from __future__ import annotations

import tomllib
from pathlib import Path

SOURCE = "START, arXiv 2503.04625 v1, table 1"
_FIGURES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SCORES: dict[str, dict[str, float]] = {suite: of["scores"] for suite, of in _FIGURES.items()}
PARTS = {suite: of["parts"] for suite, of in _FIGURES.items() if "parts" in of}
NOTES = {suite: of["note"] for suite, of in _FIGURES.items() if "note" in of}
