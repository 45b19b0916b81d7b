"""The benchmark of the grader, on our own answers."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from benchmarks.grader import RULES, Problem, cases, is_sealed
from benchmarks.grader.__main__ import main
from benchmarks.grader.answers import ANSWERS, wrong_big_numbers


def variants(answer: str, problem: str = "What?") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case in cases([Problem("p", problem, answer)]):
        found.setdefault(case.rule, []).append(case.variant)
    return found


def test_a_file_of_problems_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"id": 1, "problem": "What?", "answer": "17"}\n', encoding="utf-8")
    assert main([str(path), "--half", "open", "--big", "5"]) == 0
    shown = capsys.readouterr().out
    assert "miss" not in shown
    assert re.search(r"integer as decimal +2 +2 +100.00", shown)
    assert re.findall(r"big numbers +(\d+) +(\d+)", shown) == [("5", "5")] * 2


def test_every_rule_applies_somewhere() -> None:
    applied = {rule for answer in ANSWERS for rule in variants(answer, "How many percent?")}
    assert applied == {name for rules in RULES.values() for name in rules}


def test_a_rule_does_not_apply_where_it_would_be_false() -> None:
    assert "0.1428" not in str(variants(r"\frac17")["fraction"])
    assert "fraction upside down" not in variants(r"\frac{5}{5}")
    assert "sign flipped" not in variants("0")
    assert "endpoints swapped" not in variants("(3,3)")
    assert "percent sign" not in variants("12")
    assert "degree sign" not in variants("12")
    assert "mixed number" not in variants(r"\frac{8}{4}")
    assert "set and tuple spacing" not in variants("1,234")
    assert not {"scientific", "label", "plus and minus one"} & set(variants(r"\text{(D)}"))


def test_the_misses_of_a_failing_grader_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"id": "p1", "problem": "What?", "answer": "17"}\n', encoding="utf-8")
    monkeypatch.setitem(RULES, False, {"no neighbour": lambda gold, _: [gold + ".0"]})
    assert main([str(path)]) == 1
    assert "miss: p1, no neighbour: '17.0' for '17': numeric" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"id": 1, "problem": "What?"}', "the columns id, problem and answer are required"),
    ],
)
def test_a_bad_line_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, reason: str
) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main([str(path)])
    assert f"line 2: {reason}" in capsys.readouterr().err


def test_both_halves_make_up_the_whole() -> None:
    problems = [Problem(f"p{i}", "What?", answer) for i, answer in enumerate(ANSWERS)]
    both = list(cases(problems))
    opened, sealed = (list(cases(problems, half)) for half in ("open", "sealed"))
    assert len(opened) + len(sealed) == len(both)
    assert {*opened} & {*sealed} == set()
    assert not any(is_sealed(case.rule) for case in opened)


def test_the_seal_is_unbroken() -> None:
    """A rule's name decides on its half: one that is renamed could move into the open one."""
    names = sorted(name for rules in RULES.values() for name in rules)
    assert len(names) == 65 and sum(map(is_sealed, names)) == 33
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == (
        "72f4224f94a40f0bc84f14649d91f5fc9e806b80f8f64300c63b8f1790fe100c"
    )


def test_neighbours_of_big_numbers_are_big_and_wrong() -> None:
    for number, (wrong, gold) in enumerate(wrong_big_numbers(200, seed=1)):
        assert wrong != gold, number
        if wrong.isdigit() and gold.isdigit():
            assert min(int(wrong), int(gold)) > 10**20
