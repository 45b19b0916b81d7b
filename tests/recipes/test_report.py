"""Reports and comparisons, from rows written by hand."""

import json
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

from rows import write_rows

from recipes import compare
from recipes.report import markdown, results, summary, write_report
from start_sdk import ConfigError
from start_sdk.batch import Job, Row, export_jsonl

TITLE = {"suite": "aime24", "model": "m", "hints": "none", "k": 2}


def rows(right: list[list[bool]], calls: int = 1) -> list[Row]:
    """Rows of problems and samples, right or wrong as given."""
    return [
        Row(
            Job(
                problem=f"p{i}",
                sample=j,
                input={"question": f"Question {i}?", "family": f"f{i % 2}"},
            ),
            "done",
            {
                "answer": "1" if correct else f"wrong {i}",
                "correct": correct,
                "how": "exact",
                "calls": calls,
                "trace": {"usage": {"model": 10, "dropped": 2}, "finish": "eos"},
            },
        )
        for i, samples in enumerate(right)
        for j, correct in enumerate(samples)
    ]


def test_scores_are_means_over_problems() -> None:
    made = summary(results(rows([[True, False], [True, True], [False, False]])), TITLE)
    whole = made["all"]
    assert (whole["problems"], whole["samples"], whole["k"]) == (3, 6, 2)
    assert whole["pass@1"]["value"] == 50
    assert whole["pass@2"]["value"] == pytest.approx(66.67)
    assert whole["maj@2"]["value"] == 50  # a tie counts half, two right votes one, two wrong none
    assert whole["model tokens per right answer"] == 6 * 12 / 3
    assert whole["calls per problem"] == 1
    assert made["families"]["f1"]["pass@1"]["value"] == 100
    assert whole["pass@1"]["low"] < 50 < whole["pass@1"]["high"]


def test_equal_scores_still_have_an_interval_with_a_width() -> None:
    whole = summary(results(rows([[True]] * 8)), TITLE)["all"]
    assert whole["pass@1"]["value"] == 100
    assert 60 < whole["pass@1"]["low"] < 75  # Wilson: 1 / (1 + 1.96^2 / 8) = 0.676


def test_a_failed_row_counts_as_wrong() -> None:
    failed = Row(Job(problem="q", input={"question": "?"}), "failed", error="BackendError: no")
    whole = summary(results([*rows([[True]]), failed]), TITLE)["all"]
    assert whole["pass@1"]["value"] == 50
    assert whole["verdicts"] == {"exact": 1, "failed": 1}


def test_the_papers_figures_are_labelled_as_such() -> None:
    text = markdown(summary(results(rows([[True]])), TITLE))
    assert (
        "The paper's (START, arXiv 2503.04625 v1, table 1; other models, not measured here)" in text
    )
    assert "QwQ-32B-Preview 50.0" in text and "START 66.7" in text
    other = markdown(summary(results(rows([[True]])), {**TITLE, "suite": "tiny"}))
    assert "paper" not in other.lower()


def test_reports_of_equal_rows_are_equal(tmp_path: Path) -> None:
    found = results(rows([[True, False], [False, False], [True, True]]))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(found[::-1] if name == "b" else found, TITLE, tmp_path / name)
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
        write_rows(tmp_path / name, rows(right))
    return tmp_path / "a", tmp_path / "b"


def test_compare_shows_gain_test_and_flips(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main([str(f) for f in folders]) == 0
    out = capsys.readouterr().out
    assert out.count("wrong -> right") > 5 and out.count("right -> wrong") == 1
    whole = next(line for line in out.splitlines() if " all " in line)
    assert "40" in whole and "+" in whole


def test_compare_leaves_out_what_one_side_lacks(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_jsonl(rows([[True]] * 10), tmp_path / "short.jsonl")
    assert compare.main([str(folders[0]), str(tmp_path / "short.jsonl")]) == 0
    assert "30 problems are in only one evaluation" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["{", "[]\n", "", '{"problem": "p"}\n'])
def test_compare_refuses_other_files(
    folders: tuple[Path, Path], tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.jsonl").write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        compare.main([str(folders[0]), str(tmp_path / "other.jsonl")])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "other.jsonl" in error and "Traceback" not in error
