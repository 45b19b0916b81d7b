"""The debug hint from the command line: filled in for each problem, of every kind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lcb import row, write

from recipes import evaluate, suites
from recipes.config import Config
from recipes.policies import fits, hint_of
from recipes.problems import programs
from recipes.suites import CodeProblem
from recipes.tiny.families import CODE, MATH
from start_sdk import ConfigError
from start_sdk.batch import read_rows
from start_sdk.testing import ScriptedBackend

CONFIG = Config()


def test_it_shows_the_public_samples_as_the_problem_has_them(tmp_path: Path) -> None:
    file = write(tmp_path / "lcb.jsonl", [row(1), row(2, function="total")])
    reads, called = programs([file])
    text = hint_of("debug", reads, CONFIG, 0).text
    assert "Input 1:\n1\n2\nOutput 1:\n3\n" in text and "sys.stdin = io.StringIO" in text
    text = hint_of("debug", called, CONFIG, 0).text
    assert "Input 1:\n[1, 2]\nOutput 1:\n3\n" in text and "Solution().total(test_input1)" in text
    assert "[A code template]" not in text and "{testcase}" not in text
    two = CodeProblem("1", "?", "", samples=(('true\n"a"', "1"),), starter="def f(a, b):")
    assert "Input 1:\nTrue, 'a'\nOutput 1:\n1\n" in hint_of("debug", two, CONFIG, 0).text


def test_the_miniatures_code_tasks_take_it_and_the_others() -> None:
    code, other = suites.tiny((CODE[0], MATH[0]), 1, seed=4)
    text = hint_of("debug", code, CONFIG, 0).text
    (given, expected), *_ = code.samples  # type: ignore[attr-defined]
    assert f"Input 1:\n{given}\nOutput 1:\n{expected}\n" in text and f"f({given})" in code.question
    assert fits("debug", code) and fits("end", code) and not fits("debug", other)
    with pytest.raises(ConfigError, match="needs a code problem"):
        hint_of("debug", other, CONFIG, 0)


def test_an_evaluation_gives_each_problem_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("math_verify")
    file = write(tmp_path / "lcb.jsonl", [row(4), row(5, function="total")])
    texts = ["I think.\n</think>", "print(3)\n```\n", "So.\n</think>\n\n```python\nprint(3)\n```"]
    monkeypatch.setattr(Config, "opened", lambda *_: ScriptedBackend(texts))
    line = f"--suite livecodebench --data {file} --hints debug --out {tmp_path / 'out'}"
    monkeypatch.setattr(sys, "argv", ["evaluate", *line.split()])
    assert evaluate.main() == 0
    segments = [
        row.result["trace"]["segments"] for row in read_rows(tmp_path / "out") if row.result
    ]
    hints = [[s["text"] for s in some if s["source"] == "hint"] for some in segments]
    assert [len(found) for found in hints] == [1, 1]
    assert "io.StringIO" in hints[0][0] and "Solution().total(test_input1)" in hints[1][0]
    assert [len(some) > 3 for some in segments] == [True, True]


def test_problems_that_take_no_debug_hint_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", f"x --suite tiny --families math --hints debug --out {tmp_path}".split()
    )
    with pytest.raises(SystemExit) as ended:
        evaluate.main()
    assert ended.value.code == 2 and not list(tmp_path.iterdir())
    assert "none of the problems takes the policies debug" in capsys.readouterr().err
