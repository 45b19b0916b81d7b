"""The debug hint from the command line: filled in for each problem, of every kind."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest
from lcb import row, write

from recipes import evaluate, experiment, suites
from recipes.hint_names import fits, hint_of
from recipes.livecodebench import Selection, load
from recipes.suites import CodeProblem, Problem
from recipes.tiny.families import CODE, MATH
from start_sdk import ConfigError
from start_sdk.batch import read_rows
from start_sdk.testing import ScriptedBackend


def test_it_shows_the_public_samples_as_the_problem_has_them(tmp_path: Path) -> None:
    file = write(tmp_path / "lcb.jsonl", [row(1), row(2, function="total")])
    reads, called = load(Selection((file,)))
    text = hint_of("debug", reads, 0).text
    assert "Input 1:\n1\n2\nOutput 1:\n3\n" in text and "sys.stdin = io.StringIO" in text
    text = hint_of("debug", called, 0).text
    assert "Input 1:\n[1, 2]\nOutput 1:\n3\n" in text and "Solution().total(test_input1)" in text
    assert "[A code template]" not in text and "{testcase}" not in text
    two = CodeProblem("1", "?", "", samples=(('true\n"a"', "1"),), starter="def f(a, b):")
    assert "Input 1:\nTrue, 'a'\nOutput 1:\n1\n" in hint_of("debug", two, 0).text


def test_the_miniatures_code_tasks_take_it_and_the_others() -> None:
    code, other = suites.tiny((CODE[0], MATH[0]), 1, seed=4)
    text = hint_of("debug", code, 0).text
    (given, expected), *_ = code.samples  # type: ignore[attr-defined]
    assert f"Input 1:\n{given}\nOutput 1:\n{expected}\n" in text and f"f({given})" in code.question
    assert fits("debug", code) and fits("end", code) and not fits("debug", other)
    with pytest.raises(ConfigError, match="needs a code problem"):
        hint_of("debug", other, 0)


def test_an_evaluation_gives_each_problem_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("math_verify")
    file = write(tmp_path / "lcb.jsonl", [row(4), row(5, function="total")])
    texts = ["I think.\n</think>", "print(3)\n```\n", "So.\n</think>\n\n```python\nprint(3)\n```"]
    monkeypatch.setattr(experiment, "open_backend", lambda *_, **__: ScriptedBackend(texts))
    line = f"--suite livecodebench --data {file} --hints debug --out {tmp_path / 'out'}"
    monkeypatch.setattr(sys, "argv", ["evaluate", *line.split()])
    assert evaluate.main() == 0
    rows = [row.as_dict() for row in read_rows(tmp_path / "out")]
    hints = [
        [s["text"] for s in r["result"]["trace"]["segments"] if s["source"] == "hint"] for r in rows
    ]
    assert [len(found) for found in hints] == [1, 1]
    assert "io.StringIO" in hints[0][0] and "Solution().total(test_input1)" in hints[1][0]
    assert [len(r["result"]["trace"]["segments"]) > 3 for r in rows] == [True, True]


def test_a_problem_without_samples_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", f"x --suite tiny --families math --hints debug --out {tmp_path}".split()
    )
    with pytest.raises(SystemExit) as ended:
        evaluate.main()
    assert ended.value.code == 2 and not list(tmp_path.iterdir())
    assert "--hints debug: problem" in capsys.readouterr().err


def test_a_task_of_the_miniature_survives_its_row() -> None:
    (code,) = suites.tiny((CODE[0],), 1, seed=4)
    (plain,) = suites.tiny((MATH[0],), 1, seed=4)
    for problem in (code, plain, Problem("1", "?", "1")):
        job = experiment.job_of(problem, argparse.Namespace(seed=0), "", "none")
        assert experiment.problem_of(job) == problem
