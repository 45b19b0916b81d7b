"""The evaluation program, end to end: the embedded model, real kernels, the grader's workers."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")

from recipes import evaluate, experiment
from recipes.suites import Problem
from recipes.tiny.families import CODE, MATH
from start_sdk import StartError
from start_sdk.batch import read_rows


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The program with this command line."""
    monkeypatch.setattr(sys, "argv", ["evaluate", *line.split()])
    return evaluate.main()


@pytest.fixture(autouse=True)
def two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small world, to be quick."""
    monkeypatch.setitem(experiment.GROUPS, "all", (MATH[4], CODE[0]))


def test_it_samples_grades_reports_resumes_and_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "--suite tiny --n 2 --k 2 --hints end --seed 3 --out"
    assert run(f"{line} {tmp_path / 'a'}", monkeypatch) == 0
    first = capsys.readouterr().out
    assert "pass@2" in first and "code-steps" in first
    rows = list(read_rows(tmp_path / "a"))
    assert len(rows) == 8 and {row.state for row in rows} == {"done"}
    assert all(row.result and row.result["trace"]["segments"] for row in rows)

    async def never(*_: object) -> None:
        raise AssertionError("a sample that is done was run again")

    with monkeypatch.context() as patch:
        patch.setattr(experiment.Judge, "judge", never)
        assert run(f"{line} {tmp_path / 'a'}", monkeypatch) == 0
    assert capsys.readouterr().out == first
    assert run(f"{line} {tmp_path / 'b'}", monkeypatch) == 0
    for file in ("report.md", "report.json", "report.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, begun = experiment.Judge.judge, 0

    async def stopped(self: experiment.Judge, *args: Any) -> object:
        nonlocal begun
        begun += 1
        if begun == 3:
            signal.raise_signal(signal.SIGINT)
        return await real(self, *args)

    line = f"--suite tiny --n 2 --max-concurrency 1 --out {tmp_path}"
    with monkeypatch.context() as patch:
        patch.setattr(experiment.Judge, "judge", stopped)
        with pytest.raises(SystemExit) as ended:
            run(line, monkeypatch)
    assert ended.value.code == 130
    assert "same command again to resume" in capsys.readouterr().err
    assert len(list(read_rows(tmp_path))) == 2
    assert run(line, monkeypatch) == 0
    assert len(list(read_rows(tmp_path))) == 4


def test_questions_are_put_as_their_suite_has_them() -> None:
    number = Problem("1", "What is 2 + 2?", "4")
    text, gold = experiment.asked(number, "boxed", 0)
    assert text == "What is 2 + 2?" + experiment.BOXED and gold == "4"
    assert "\\boxed{}" in experiment.BOXED
    choice = Problem("2", "Which?", "right", ("w1", "w2", "w3"))
    golds = set()
    for seed in range(12):
        text, gold = experiment.asked(choice, "boxed", seed)
        assert f"({gold}) right" in text
        assert (text, gold) == experiment.asked(choice, "boxed", seed)
        assert experiment.asked(choice, "plain", seed) == (
            str(text)[: -len(experiment.LETTER)],
            gold,
        )
        golds.add(gold)
    assert golds == {*"ABCD"}
    tiny = Problem("3", "What is 2 * 3?", "6", family="products")
    assert experiment.asked(tiny, "plain", 0) == ("What is 2 * 3?", "6")
    assert experiment.asked(tiny, "direct", 0)[0] == "What is 2 * 3? Use Python."
    # A file may have families, too: the prompt alone says how it is asked.
    assert experiment.asked(tiny, "boxed", 0)[0] == "What is 2 * 3?" + experiment.BOXED


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--suite tiny", "--suite and --out are required"),
        ("--suite aime99 --out {}", "neither a suite"),
        ("--suite tiny --hints end --hint nothing --out {}", "nothing"),
        ("--suite tiny --k 0 --out {}", "at least 1"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    line: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(line.format(tmp_path), monkeypatch)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error


def test_errors_of_the_sdk_are_typed() -> None:
    with pytest.raises(StartError):
        evaluate.chosen_policy("none", "general", 0)
