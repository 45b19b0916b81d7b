"""The self-check of the grader, on our own answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes import check_grader
from recipes.check_grader import Problem, cases
from recipes.check_grader.neighbours import NEIGHBOURS
from recipes.check_grader.rewritings import REWRITINGS
from start_sdk import ConfigError

ANSWERS = [
    "17", "6.0", "-3", r"\frac{3}{8}", r"\frac17", r"-\frac{22}{7}", "0.0009", "45,600", r"\$4.50", r"105^\circ",
    r"2\frac{3}{5}", "1021_3", r"\text{(D)}", r"\text{Monday}", r"\text{not enough}", r"7\sqrt{3}", r"9\pi", r"\frac{\sqrt{5}}{2}",
    "(4,-1)", "[2,6)", r"(-\infty,1]\cup(3,9)", r"\{-1,\sqrt2\}", "2, 9", r"2\pm\sqrt{5}", "(a+1)(b-3)", "3x^2-x+5", "y = 4x - 1",
    r"\begin{pmatrix} 1 \\ \frac12 \end{pmatrix}", r"4\text{ cm}", "12.75", r"\infty", "0", "D",
]  # fmt: skip


def variants(answer: str, problem: str = "What?") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case in cases([Problem("p", problem, answer)]):
        found.setdefault(case.rule, []).append(case.variant)
    return found


def test_the_grader_passes_on_answers_of_each_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "problems.jsonl"
    rows = [{"id": i, "problem": "What?", "answer": a} for i, a in enumerate(ANSWERS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    code = check_grader.main([path])
    shown = capsys.readouterr().out
    assert "miss:" not in shown
    assert code == 0


def test_every_rule_applies_somewhere() -> None:
    applied = {rule for answer in ANSWERS for rule in variants(answer, "How many percent?")}
    assert applied == {*REWRITINGS, *NEIGHBOURS}


def test_a_rule_does_not_apply_where_it_would_be_false() -> None:
    assert "0.1428" not in str(variants(r"\frac17")["fraction"])
    assert "fraction upside down" not in variants(r"\frac{5}{5}")
    assert "sign flipped" not in variants("0")
    assert "endpoints swapped" not in variants("(3,3)")
    assert "percent sign" not in variants("12")
    assert "degree sign" not in variants("12")
    assert "mixed number" not in variants(r"\frac{8}{4}")
    assert "set and tuple spacing" not in variants("1,234")
    assert set(variants(r"\text{(D)}")) == {
        "spaces",
        "$",
        r"\text{}",
        "a sentence around",
        "letter, parentheses",
    }


def test_the_misses_of_a_failing_grader_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"id": "p1", "problem": "What?", "answer": "17"}\n', encoding="utf-8")
    monkeypatch.setattr(check_grader, "NEIGHBOURS", {"no neighbour": lambda gold, _: [gold + ".0"]})
    assert check_grader.main([path]) == 1
    assert "miss: p1, no neighbour: '17.0' for '17': numeric" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["{", "[]", '{"id": 1, "problem": "What?"}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2: the columns id, problem and answer"):
        check_grader.main([path])
