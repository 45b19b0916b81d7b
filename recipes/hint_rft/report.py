"""The report of a curation: counts per step, and samples to read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from recipes.markup import counted, fenced, inline, table
from recipes.report import write
from recipes.settings import Curation

STEPS = (
    "no trace", "overlaps with the evaluation", "not token-exact", "wrong answer",
    "ended by a limit", "no code", "repetitive", "output written by the model", "failed code",
    "wrong once modified", "void code", "too long", "right without hints",
    "code for an easy problem", "no code for a hard problem", "drift", "duplicate",
    "another one is kept", "not drawn",
)  # fmt: skip
"""Reasons to leave a row out, in the order in which they are looked for."""
SAMPLES = 3


def write_report(audits: Sequence[dict[str, Any]], rules: Curation, folder: Path) -> dict[str, Any]:
    """Writes report.json and report.md beside data.jsonl and audit.jsonl; returns the report."""
    kept = [audit for audit in audits if audit["reason"] is None]
    left_out = Counter(str(audit["reason"]).partition(":")[0] for audit in audits)
    report = {
        "rules": rules.model_dump(),
        "rows": len(audits),
        "left out": {step: left_out[step] for step in STEPS if left_out[step]},
        "kept": len(kept),
        "modified": sum(bool(audit["dropped"]) for audit in kept),
        "with calls": sum(audit["score"]["calls"] > 0 for audit in kept),
        "tokens": sum(audit["score"]["tokens"] for audit in kept),
        "by hint": dict(sorted(Counter(audit["policy"] for audit in kept).items())),
        "by family": dict(sorted(Counter(audit["family"] for audit in kept).items())),
    }
    write(report, markdown(report) + samples(folder / "data.jsonl"), folder)
    return report


def markdown(report: dict[str, Any]) -> str:
    """The counts as text."""
    left = report["rows"]
    rows = [["rows of the rollouts", "", str(left)]]
    for step, count in report["left out"].items():
        left -= count
        rows.append([step, str(count), str(left)])
    lines = ["# Training data", "", table(["step", "left out", "left"], rows)]
    kept = f"Kept: {report['kept']}, one per question; {report['with calls']} ran code."
    lines += [f"{kept} {report['modified']} lost a failed try. {report['tokens']} tokens."]
    for name in ("by hint", "by family"):
        lines += ["", f"{name.capitalize()}: {counted(report[name])}."]
    return "\n".join(lines) + "\n"


def samples(data: Path) -> str:
    """The first rows of the training set, to be read."""
    parts: list[str] = []
    with data.open(encoding="utf-8") as lines:
        for datum in map(json.loads, islice(lines, SAMPLES)):
            text = "".join(segment["text"] for segment in datum["trace"]["segments"])
            head = f"{datum['problem']}, {datum['policy']}, sample {datum['sample']}"
            parts.append(f"\n## {inline(head)}\n\n{fenced(text)}")
    return "".join(parts)
