"""Reports and comparisons, from rows written by hand."""

import json
import sys
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

from rows import judged, write_rows

from recipes import compare
from recipes.report import markdown, picture, summary, write
from start_sdk import ConfigError
from start_sdk.batch.scoring import results

TITLE = {"suite": "aime24", "model": "m", "k": 2}


def test_the_papers_figures_are_labelled_as_such() -> None:
    text = markdown(summary(results(judged([[True]])), TITLE))
    assert (
        "The paper's (START, arXiv 2503.04625 v1, table 1; other models, not measured here)" in text
    )
    assert "QwQ-32B-Preview 50.0" in text and "START 66.7" in text
    other = markdown(summary(results(judged([[True]])), {**TITLE, "suite": "tiny"}))
    assert "paper" not in other.lower()


def test_reports_of_equal_rows_are_equal(tmp_path: Path) -> None:
    found = results(judged([[True, False], [False, False], [True, True]]))
    for name in ("a", "b"):
        made = summary(found[::-1] if name == "b" else found, TITLE)
        write(made, markdown(made), tmp_path / name, figure=picture(made))
    for file in ("report.md", "report.json", "report.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert json.loads((tmp_path / "a" / "report.json").read_text())["k"] == 2


def test_nothing_to_report_is_said() -> None:
    with pytest.raises(ConfigError, match="no samples"):
        summary([], TITLE)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two evaluations of 40 problems; the second is right more often."""
    rng = Random(3)
    first = [[rng.random() < 0.3] for _ in range(40)]
    second = [[r[0] or rng.random() < 0.6] for r in first]
    second[first.index([True])] = [False]
    for name, right in (("a", first), ("b", second)):
        write_rows(tmp_path / name, judged(right))
    return tmp_path / "a", tmp_path / "b"


def run(line: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["compare", *line])
    return compare.main()


def test_compare_shows_gain_test_and_flips(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([str(f) for f in folders], monkeypatch) == 0
    out = capsys.readouterr().out
    assert out.count("wrong -> right") > 5 and out.count("right -> wrong") == 1
    assert "| f0 | 20 |" in out and "| f1 | 20 |" in out and "| b | 40 |" in out


def test_compare_leaves_out_what_one_side_lacks(
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_rows(tmp_path / "short", judged([[True]] * 10))
    assert run([str(folders[0]), str(tmp_path / "short")], monkeypatch) == 0
    assert "30 problems are in only one evaluation" in capsys.readouterr().out


def test_folders_of_one_name_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, right in (("a", [[True]] * 9), ("b", [[False]] * 9)):
        write_rows(tmp_path / name / "rows", judged(right))
    assert run([str(tmp_path / name / "rows") for name in "ab"], monkeypatch) == 0
    assert f"Compared with {tmp_path / 'a' / 'rows'}" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["{", "[]\n", "", '{"problem": "p"}\n'])
def test_compare_refuses_other_files(
    folders: tuple[Path, Path],
    tmp_path: Path,
    content: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "rows.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        run([str(folders[0]), str(tmp_path / "other")], monkeypatch)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "other" in error and "Traceback" not in error
