"""Evaluating the miniature: how it is asked, how its functions are graded, what its rows hold."""

import json
import sys
from pathlib import Path

import pytest
from start_tools.python import PythonTool

pytest.importorskip("torch")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")

from recipes.questions import Judge
from recipes.suites import tiny
from recipes.tiny import evaluate as tiny_evaluate
from recipes.tiny.families import CODE, FAMILIES, GROUPS, MATH, code_ranges, coins
from recipes.tiny.prompts import SHOTS, with_prompt
from start_sdk import ReasoningSession, Trace
from start_sdk.grading import Grader
from start_sdk.testing import ScriptedBackend

PYTHON = PythonTool()


async def graded(answer: str) -> bool:
    """Whether this text behind the thought solves a problem of a code family."""
    (problem,) = tiny(CODE, 1, seed=1)
    session = ReasoningSession(ScriptedBackend([f"Hm.\n</think>\n\n{answer}"]))
    trace = await session.run(problem.question)
    async with Grader() as grader:
        result = await Judge(grader, PYTHON).judge(trace, problem, problem.gold)
    assert result["how"] == "tests"
    return bool(result["correct"])


async def test_functions_are_graded_by_what_they_compute() -> None:
    (problem,) = tiny(CODE, 1, seed=1)
    block = "```python\n{}\n```"
    assert await graded(block.format(problem.gold))
    assert await graded(f"{block.format('x = 1')}\nor\n{block.format(problem.gold)}")
    assert not await graded(block.format("def f(n):\n    return 7"))
    assert not await graded(block.format("def f(n:"))
    assert not await graded(block.format("def f(n):\n    print('values: [')"))
    assert not await graded("The function is f(n) = n.")


def test_prompts_ask_for_python_and_show_it() -> None:
    assert with_prompt("plain", "How many?") == "How many?"
    assert with_prompt("direct", "How many?") == "How many? Use Python."
    shots = with_prompt("few-shot", "How many?")
    assert not isinstance(shots, str)
    assert [m["role"] for m in shots] == ["user", "assistant"] * len(SHOTS) + ["user"]
    assert shots[-1]["content"] == "How many? Use Python."
    assert all("```python" in m["content"] for m in shots if m["role"] == "assistant")


def test_rows_hold_everything_and_repeat_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GROUPS, "math", (coins.FAMILY,))
    found = []
    for name in ("one.json", "two.json"):
        line = f"evaluate --families math --hints end --hint check-logic --n 2 --seed 3 --json {tmp_path / name}"
        monkeypatch.setattr(sys, "argv", line.split())
        assert tiny_evaluate.main() == 0
        rows = json.loads((tmp_path / name).read_text(encoding="utf-8"))["rows"]
        assert [r["problem"] for r in rows] == [p.question for p in tiny((coins.FAMILY,), 2, 3)]
        for row in rows:
            made = Trace.model_validate(row["trace"])
            assert row["tokens"]["model"] > 0 and row["calls"] == len(made.calls)
            assert [h.id for h in made.hints] == ["check-logic"]
            assert row["correct"] == (row["answer"] == row["gold"])
        found.append([(r["answer"], r["trace"]["segments"][1]["token_ids"]) for r in rows])
    assert found[0] == found[1]


def test_an_unwritable_file_is_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", "--json", "no/such/folder/rows.json"])
    with pytest.raises(SystemExit) as ended:
        tiny_evaluate.main()
    assert ended.value.code == 2
    assert "no/such/folder" in capsys.readouterr().err


def test_one_family_is_pretrained_on_but_not_evaluated() -> None:
    assert {*MATH, *CODE} == {*GROUPS["all"]} == {*FAMILIES} - {code_ranges.FAMILY}
