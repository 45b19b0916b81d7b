"""Evaluating the miniature: answers taken and graded, rows written, rows compared."""

import json
import sys
from pathlib import Path
from random import Random

import pytest
from start_tools.python import PythonTool

pytest.importorskip("torch")
pytest.importorskip("scipy")

from recipes.tiny import evaluate, report
from recipes.tiny.families import CODE, FAMILIES, MATH, coins
from recipes.tiny.prompts import SHOTS, with_prompt
from recipes.tiny.world import Problem, problems
from start_sdk import Segment, Trace

PYTHON = PythonTool(isolation="plain")


def trace(thinking: str, answer: str) -> Trace:
    """A trace with this thought and this text behind it."""
    parts = [("thinking", thinking), ("close", "</think>"), ("answer", answer)]
    segments = [
        Segment(source="model", text=text, token_ids=tuple(map(ord, text)), phase=phase)  # type: ignore[arg-type]
        for phase, text in parts
        if text
    ]
    return Trace(segments=tuple(segments), finish="eos", config="test", seed=0)


def first(family: str) -> Problem:
    """A held-out problem of this family."""
    found = next(f for f in FAMILIES if f.name == family)
    return next(problems(found, "test", 1, 1))


@pytest.mark.parametrize("family", [f.name for f in CODE])
async def test_functions_are_graded_by_what_they_compute(family: str) -> None:
    problem = first(family)
    assert await evaluate.is_right(problem, problem.answer, PYTHON)
    assert await evaluate.is_right(problem, f"x = 1\n{problem.answer}\nprint(f(2))", PYTHON)
    assert not await evaluate.is_right(problem, "def f(n):\n    return 7", PYTHON)
    assert not await evaluate.is_right(problem, "def f(n:", PYTHON)
    assert not await evaluate.is_right(problem, "def f(n):\n    print('values: [')", PYTHON)
    assert not await evaluate.is_right(problem, None, PYTHON)


async def test_numbers_are_graded_as_written() -> None:
    problem = first("products")
    assert await evaluate.is_right(problem, problem.answer, PYTHON)
    assert not await evaluate.is_right(problem, problem.answer + "0", PYTHON)


def test_the_answer_to_a_code_task_is_the_last_block_behind_the_thought() -> None:
    problem = first("code-steps")
    block = "```python\n{}\n```"
    both = trace(block.format("a = 1"), block.format("b = 2") + "\n" + block.format("c = 3"))
    assert evaluate.answer_of(problem, both) == "c = 3"
    assert evaluate.answer_of(problem, trace(block.format("a = 1"), "Done.")) == "a = 1"
    assert evaluate.answer_of(problem, trace("Hm.", "Done.")) is None
    number = first("coins")
    assert evaluate.answer_of(number, trace("Hm.", "It is \\boxed{12}.")) == "12"


def test_prompts_ask_for_python_and_show_it() -> None:
    assert with_prompt("plain", "How many?") == "How many?"
    assert with_prompt("direct", "How many?") == "How many? Use Python."
    shots = with_prompt("few-shot", "How many?")
    assert not isinstance(shots, str)
    assert [m["role"] for m in shots] == ["user", "assistant"] * len(SHOTS) + ["user"]
    assert shots[-1]["content"] == "How many? Use Python."
    assert all("```python" in m["content"] for m in shots if m["role"] == "assistant")


def test_rows_hold_everything_and_repeat_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(evaluate.GROUPS, "math", (coins.FAMILY,))
    answers = []
    for name in ("one.json", "two.json"):
        line = (
            f"evaluate --families math --hints end --hint check-logic --n 2 --seed 3 --json {name}"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", line.split())
        evaluate.main()
        rows = json.loads((tmp_path / name).read_text(encoding="utf-8"))["rows"]
        assert [r["problem"] for r in rows] == [
            p.question for p in problems(coins.FAMILY, "test", 3, 2)
        ]
        for row in rows:
            made = Trace.model_validate(row["trace"])
            assert row["tokens"]["model"] > 0 and row["calls"] == len(made.calls)
            assert [h.id for h in made.hints] == ["check-logic"]
            assert row["correct"] == (row["answer"] == row["gold"])
        answers.append([(r["answer"], r["trace"]["segments"][1]["token_ids"]) for r in rows])
    assert answers[0] == answers[1]
    assert "check-logic" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--hints none --hint general", "--hint goes with --hints end"),
        ("--hints end --hint nothing", "nothing"),
        ("--model no/such-folder-here", "no/such-folder-here"),
        ("--json no/such/folder/rows.json", "no/such/folder"),
    ],
)
def test_bad_options_are_one_line_and_exit_code_2(
    line: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "--n", "1", *line.split()])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit) as stopped:
        evaluate.main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error


def rows_file(path: Path, right: list[bool], calls: int = 0, name: str = "q") -> Path:
    """A file of rows, right or wrong as given."""
    rows = [
        {"family": "coins", "problem": f"{name}{i}", "correct": r, "calls": calls}
        for i, r in enumerate(right)
    ]
    path.write_text(json.dumps({"rows": rows}), encoding="utf-8")
    return path


def test_the_gain_is_paired_and_its_interval_holds_it(tmp_path: Path) -> None:
    rng = Random(0)
    base = [rng.random() < 0.3 for _ in range(200)]
    other = [b or rng.random() < 0.5 for b in base]
    files = [
        rows_file(tmp_path / "base.json", base),
        rows_file(tmp_path / "other.json", other, calls=1),
    ]
    mean, low, high = report.gain(*(report.read([file]) for file in files))
    assert mean == pytest.approx(100 * (sum(other) - sum(base)) / 200)
    # Paired, half the width of the interval is near 1.96 standard errors of the differences.
    lifts = [o - b for b, o in zip(base, other, strict=True)]
    spread = (sum((100 * x - mean) ** 2 for x in lifts) / 200) ** 0.5 / 200**0.5
    assert (high - low) / 2 == pytest.approx(1.96 * spread, rel=0.1)
    assert report.gain(report.read(files[:1]), report.read(files[:1])) == (0, 0, 0)


def test_report_refuses_what_does_not_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = rows_file(tmp_path / "one.json", [True, False])
    two = rows_file(tmp_path / "two.json", [True, False], name="other")
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    for other, says in ((two, "different problems"), (tmp_path / "broken.json", "no file of rows")):
        monkeypatch.setattr(sys, "argv", ["report", "--base", str(one), "--other", str(other)])
        with pytest.raises(SystemExit) as stopped:
            report.main()
        assert stopped.value.code == 2
        assert says in capsys.readouterr().err


def test_report_prints_families_and_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = rows_file(tmp_path / "one.json", [True, False, False, False])
    two = rows_file(tmp_path / "two.json", [True, True, True, True], calls=2)
    monkeypatch.setattr(sys, "argv", ["report", "--base", str(one), "--other", str(two)])
    report.main()
    out = capsys.readouterr().out
    assert "coins" in out and "25.0" in out and "+75.0" in out and "100.0" in out


def test_every_family_is_of_one_group() -> None:
    assert {*MATH, *CODE} == {*FAMILIES} and not {*MATH} & {*CODE}
