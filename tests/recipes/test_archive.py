"""What is kept of a run is enough for its tables."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("statsmodels")

from rows import write_rows

from recipes.archive import archive
from start_sdk import ConfigError, Segment, Trace
from start_sdk.batch import Job, Row, read_rows
from start_sdk.batch.scoring import results, scores


def evaluated(folder: Path) -> Path:
    """A folder of an evaluation of forty problems."""
    text = "So it is 4. " * 200
    segment = Segment(source="model", text=text, token_ids=tuple(map(ord, text)), phase="thinking")
    rows = []
    for number in range(40):
        trace = Trace(segments=(segment,), finish="eos").model_dump(mode="json")
        result: dict[str, Any] = {
            "answer": "4",
            "correct": number % 3 == 0,
            "how": "equal",
            "calls": 1,
        }
        job = Job(problem=f"p{number}", input={"question": f"{number}?", "family": "f"})
        rows.append(Row(job, "done", {**result, "trace": trace}))
    write_rows(folder, rows)
    report = {"model": str(folder.parent / "start" / "model")}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return folder


def test_the_scores_of_an_archive_are_those_of_the_run(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "run" / "eval")
    archive(run.parent, tmp_path / "kept.tar.xz")
    with tarfile.open(tmp_path / "kept.tar.xz") as packed:
        packed.extractall(tmp_path / "kept", filter="data")
    kept = tmp_path / "kept" / "eval"
    assert "segments" not in (kept / "rows.jsonl").read_text(encoding="utf-8")
    report = (kept / "report.json").read_text(encoding="utf-8")
    assert json.loads(report) == {"model": "run/start/model"}  # not where it was on this machine
    whole, light = (scores(results(read_rows(folder))) for folder in (run, kept))
    assert light == whole and light["tokens per sample"] == len("So it is 4. ") * 200
    for folder in (run.parent, tmp_path / "kept"):  # an archive's rows can be archived, too
        archive(folder, tmp_path / "again.tar.xz")
        assert (tmp_path / "again.tar.xz").read_bytes() == (tmp_path / "kept.tar.xz").read_bytes()


def test_a_folder_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="contains no rows"):
        archive(tmp_path, tmp_path / "kept.tar.xz")
