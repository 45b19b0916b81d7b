"""The evaluation program, end to end: the embedded model, real kernels, the grader's workers."""

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")

from recipes import evaluate
from recipes.questions import BOXED, LETTER, Judge, asked, job_of, problem_of, requested
from recipes.suites import Problem, tiny
from recipes.tiny.families import CODE, GROUPS, MATH
from start_sdk import ConfigError
from start_sdk.batch import Row, read_rows


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The program with this command line."""
    monkeypatch.setattr(sys, "argv", ["evaluate", *line.split()])
    return evaluate.main()


def rows(folder: Path) -> list[Row]:
    return list(read_rows(folder))


@pytest.fixture(autouse=True)
def two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small world, to be quick."""
    monkeypatch.setitem(GROUPS, "all", (MATH[4], CODE[0]))


def test_it_samples_judges_reports_resumes_and_repeats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "--suite tiny --n 2 --k 2 --hints end --seed 3 --out"
    assert run(f"{line} {tmp_path / 'a'}", monkeypatch) == 0
    first = capsys.readouterr().out
    assert "pass@2" in first and "code-steps" in first
    found = rows(tmp_path / "a")
    assert len(found) == 8 and {row.state for row in found} == {"done"}
    assert all(row.result and row.result["trace"]["segments"] for row in found)

    async def never(*_: object) -> None:
        raise AssertionError("a sample that is done was run again")

    with monkeypatch.context() as patch:
        patch.setattr(Judge, "judge", never)
        assert run(f"{line} {tmp_path / 'a'}", monkeypatch) == 0
    assert capsys.readouterr().out == first
    assert run(f"{line} {tmp_path / 'b'}", monkeypatch) == 0
    for file in ("report.md", "report.json", "report.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_ctrl_c_keeps_what_is_done_and_the_same_command_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, begun = Judge.judge, 0

    async def stopped(self: Judge, *args: Any) -> object:
        nonlocal begun
        begun += 1
        if begun == 3:
            signal.raise_signal(signal.SIGINT)
        return await real(self, *args)

    line = f"--suite tiny --n 2 --max-concurrency 1 --out {tmp_path}"
    with monkeypatch.context() as patch:
        patch.setattr(Judge, "judge", stopped)
        with pytest.raises(SystemExit) as ended:
            run(line, monkeypatch)
    assert ended.value.code == 130
    assert "same command again to resume" in capsys.readouterr().err
    assert len(rows(tmp_path)) == 2
    assert run(line, monkeypatch) == 0
    assert len(rows(tmp_path)) == 4


def test_several_policies_stand_side_by_side_and_only_what_was_asked_for_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"--suite tiny --seed 3 --out {tmp_path} --n"
    assert run(f"{line} 2 --staged --hints none end no-tool", monkeypatch) == 0
    out = capsys.readouterr().out
    assert "| end | 4 |" in out and "| no-tool | 4 |" in out and "| pass@1 | none |" in out
    found = {(row.job.policy, row.job.problem): row.result or {} for row in rows(tmp_path)}
    assert len(found) == 12
    for (policy, problem), result in found.items():
        parent = result["trace"]["parent"]
        assert (parent is not None) == (policy == "end")
        if parent:
            assert parent["trace_id"] == found["none", problem]["trace"]["id"]
    assert run(f"{line} 1 --hints none", monkeypatch) == 0
    assert "| all | 2 |" in capsys.readouterr().out


def test_rows_of_other_options_are_not_mixed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"--suite tiny --n 1 --out {tmp_path}"
    assert run(line, monkeypatch) == 0
    for change in ("--limits max_tokens=300", "--seed 4 --seeds 0"):
        with pytest.raises(SystemExit) as ended:
            run(f"{line} {change}", monkeypatch)
        assert ended.value.code == 2
        assert "contains rows made with other options" in capsys.readouterr().err


def test_questions_are_put_as_their_suite_has_them() -> None:
    number = Problem("1", "What is 2 + 2?", "4")
    text, gold = asked(number, "boxed", 0)
    assert text == "What is 2 + 2?" + BOXED and gold == "4"
    assert "\\boxed{}" in BOXED
    choice = Problem("2", "Which?", "right", ("w1", "w2", "w3"))
    golds = set()
    for seed in range(12):
        text, gold = asked(choice, "boxed", seed)
        assert f"({gold}) right" in text
        assert (text, gold) == asked(choice, "boxed", seed)
        assert asked(choice, "plain", seed) == (str(text)[: -len(LETTER)], gold)
        golds.add(gold)
    assert golds == {*"ABCD"}
    product = Problem("3", "What is 2 * 3?", "6", family="products")
    assert asked(product, "plain", 0) == ("What is 2 * 3?", "6")
    assert asked(product, "direct", 0)[0] == "What is 2 * 3? Use Python."
    assert requested("direct", asked(product, "boxed", 0)[0]) == (
        "What is 2 * 3?" + BOXED + " Use Python."
    )
    with pytest.raises(ConfigError, match="the prompt livecodebench is for programs"):
        asked(product, "livecodebench", 0)
    # A file may have families, too: the prompt alone says how it is asked.
    assert asked(product, "boxed", 0)[0] == "What is 2 * 3?" + BOXED


def test_a_problem_survives_its_row() -> None:
    (code,) = tiny((CODE[0],), 1, seed=4)
    (plain,) = tiny((MATH[0],), 1, seed=4)
    for problem in (code, plain, Problem("1", "?", "1")):
        assert problem_of(job_of(problem)) == problem


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--suite tiny", "--out is required"),
        ("--out {}", "--suite is required"),
        ("--suite aime99 --out {}", "neither a suite"),
        ("--suite tiny --hints end --hint nothing --out {}", "no hint 'nothing'"),
        ("--suite tiny --hints nowhere --out {}", "nowhere"),
        ("--suite tiny --hints last-wait --out {}", "last-wait needs an existing"),
        ("--suite tiny --hints rounds --out {}", "number of rounds"),
        ("--suite tiny --hints prompt:loud --out {}", "prompt:direct"),
        ("--suite tiny --n 0 --out {}", "--n must be at least 1"),
        ("--suite tiny --k 0 --out {}", "--k must be at least 1"),
        ("--suite tiny --max-concurrency 0 --out {}", "max_concurrency"),
        ("--suite tiny --limits calls=3 --out {}", "calls=3"),
        ("--suite tiny --limits max_calls --out {}", "expected NAME=VALUE"),
        ("--suite tiny --sampling top_p=2 --out {}", "top_p"),
        ("--suite tiny --sampling temperature=1 --out {}", "sampling.temperature"),
        ("--suite tiny --staged --hints end --k 2 --out {}", "--staged needs --k 1"),
        ("--suite tiny --hints debug --families math --out {}", "none of the problems takes"),
        ("--suite tiny --template thinking=true --out {}", "thinking"),
        ("--suite tiny --library none.toml --out {}", "none.toml"),
        ("--suite tiny --prompt loud --out {}", "prompt"),
        ("--suite tiny --seed -1 --out {}", "seed"),
        ("--suite tiny --colour red", "--colour red"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    line: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(line.replace("{}", str(tmp_path)), monkeypatch)
    assert ended.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert says in error
