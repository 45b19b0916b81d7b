"""What the programs about hints make of their rows, from rows written by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("statsmodels")
pytest.importorskip("sklearn")

from rows import write_rows

from recipes import fit_policy, hint_matrix, policies, tts
from start_sdk import ConfigError, HintContext, Segment, Trace
from start_sdk.batch import Job, Row, export_jsonl, read_rows
from start_sdk.hints import Learned


def done(number: int, result: dict[str, Any], family: str = "f") -> Row:
    job = Job(problem=f"p{number}", input={"question": f"q{number}?", "family": family})
    return Row(job, "done", result)


def arm(correct: bool, called: bool = True, sampled: int = 10) -> dict[str, Any]:
    return {"correct": correct, "called": called, "sampled": sampled}


def test_rescued_is_of_the_wrong_and_broken_of_the_right() -> None:
    # Of 8 wrong answers 6 are rescued, of 4 right ones 1 is broken.
    pairs = [(False, i < 6) for i in range(8)] + [(True, i > 0) for i in range(4)]
    rows = [
        done(i, {"correct": before, "arms": {"h @ end": arm(after, i % 3 == 0, i)}})
        for i, (before, after) in enumerate(pairs)
    ]
    rows[0].result["arms"]["h @ connective"] = arm(True)  # type: ignore[index]
    failed = Row(Job(problem="q"), "failed", error="BackendError: no")
    end, connective = hint_matrix.tally([*rows, failed])
    assert (end.name, end.problems, end.triggered, end.tokens) == ("h @ end", 12, 4 / 12, 5.5)
    assert end.rescued and end.broken
    assert (end.rescued["value"], end.broken["value"]) == (75, 25)
    assert end.rescued["low"] < 75 < end.rescued["high"]
    assert end.before["value"] == pytest.approx(33.33) and end.after["value"] == 75
    assert end.gain["value"] == pytest.approx(41.67)
    assert end.p_value == pytest.approx(0.125)  # exact: 6 flips one way, 1 the other: 2 * 8 / 128
    assert (connective.problems, connective.broken) == (1, None)
    text = hint_matrix.markdown([end, connective], {"suite": "tiny", "model": "m"})
    assert "| h @ end | 12 | 33.3 [" in text and "| - | 1 |" in text


def test_a_question_that_was_drawn_again_is_no_further_problem() -> None:
    """All rows of a problem are drawn together, so that repeating it narrows no interval."""
    rows = [done(i, {"correct": i < 3, "arms": {"h @ end": arm(i % 2 == 0)}}) for i in range(6)]
    (once,) = hint_matrix.tally(rows)
    (twice,) = hint_matrix.tally([*rows, *rows])
    assert (once.problems, twice.problems) == (6, 6)
    for name in ("before", "after", "gain", "rescued", "broken"):
        assert getattr(once, name) == pytest.approx(getattr(twice, name))


def step(tokens: int, correct: bool, answer: str = "1") -> dict[str, Any]:
    return {"tokens": tokens, "correct": correct, "answer": answer}


def test_curves_take_what_fits_into_the_tokens_of_the_hints() -> None:
    steps = {
        "hints": [step(100, False, "0"), step(150, True), step(220, False, "0")],
        "wait": [step(100, False, "0"), step(149, True), step(230, False, "0")],
        "votes": [step(100, False, "0"), step(160, True), step(220, True)],
    }
    short = {way: [step(50, True)] for way in tts.WAYS}  # a limit ended the first thought
    made = tts.curves([done(0, steps), done(1, short)], 2)
    right = {way: [p["accuracy"]["value"] for p in made[way]] for way in tts.WAYS}
    assert right == {"hints": [50, 100, 50], "wait": [50, 100, 100], "votes": [50, 50, 100]}
    tokens = {way: [p["tokens"] for p in made[way]] for way in tts.WAYS}
    assert tokens["hints"] == [75, 100, 135] and tokens["wait"] == [75, 99.5, 99.5]
    assert tokens["votes"] == [75, 75, 135]


def test_a_tie_of_votes_is_half_a_right_answer() -> None:
    assert tts.right_within("votes", [step(10, False, "0"), step(20, True)], 20) == (0.5, 20)


def test_policies_are_counted_against_no_hint_and_against_the_papers() -> None:
    outcomes = {"none": "0011", policies.PAPERS: "0101", "learned": "0111"}
    rows = [
        done(i, {"policies": {
            name: {"correct": right[i] == "1", "sampled": 10 * i, "calls": 1, "hints": i % 2}
            for name, right in outcomes.items()
        }})
        for i in range(4)
    ]  # fmt: skip
    lines = {line.name: line for line in policies.lines_of(rows)}
    assert [(lines[n].rescued, lines[n].broken) for n in outcomes] == [(0, 0), (1, 1), (1, 0)]
    assert [lines[n].against_paper["value"] for n in outcomes] == [0, 0, 25]
    assert (lines["none"].hinted, lines["none"].tokens) == (0.5, 15)
    with pytest.raises(ConfigError, match="no row"):
        policies.lines_of([Row(Job(problem="q"), "failed", error="no")])


UNSETTLED = "First 2 * 3 = 6.\n\nWait. 3 * 2 = 5."
SETTLED = "First 2 * 3 = 6.\n\nWait. 3 * 2 = 6."


def thought(text: str) -> Trace:
    return Trace(
        segments=(
            Segment(source="prompt", text="?", token_ids=(63,), phase="prompt"),
            Segment(source="model", text=text, token_ids=tuple(map(ord, text)), phase="thinking"),
        ),
        finish="eos",
    )


def matrix(folder: Path, *, tells: bool) -> Path:
    """Unsettled thoughts are wrong and a hint rescues them; settled ones it breaks. Or all by lot."""
    rng, rows = Random(1), []
    for number in range(120):
        unsettled = rng.random() < 0.5
        trace = thought(UNSETTLED if unsettled else SETTLED).model_dump(mode="json")
        right = not unsettled if tells else rng.random() < 0.5
        hinted = not right if tells else rng.random() < 0.5
        arms = {
            "general @ end": arm(hinted),
            "general @ last wait": arm(False),
            "prompt: direct": arm(False),
        }
        rows.append(
            done(number, {"correct": right, "trace": trace, "arms": arms}, "abc"[number % 3])
        )
    write_rows(folder, rows)
    return folder


def fit(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["fit_policy", *line.split()])
    return fit_policy.main()


def test_a_fitted_policy_hints_where_hints_rescue_in_families_it_has_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = matrix(tmp_path / "matrix", tells=True)
    assert fit(f"{folder} --out {tmp_path / 'out'}", monkeypatch) == 0
    out = capsys.readouterr().out
    assert "the policy generalizes" in out
    whole = next(line for line in out.splitlines() if line.startswith("| all |"))
    assert whole.split(" | ")[4] == "100.0"
    policy = Learned.load(tmp_path / "out" / "without-a.json")
    for text, speaks in ((UNSETTLED, True), (SETTLED, False)):
        hint = policy.decide(HintContext(thought(text), "end", "</think>", 0, 6))
        assert (hint is not None) is speaks


def test_what_cannot_be_told_is_not_said_to_carry_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = matrix(tmp_path / "matrix", tells=False)
    assert fit(f"{folder} --out {tmp_path / 'out'}", monkeypatch) == 0
    out = capsys.readouterr().out
    assert "learned - best constant: " in out and "the policy generalizes" not in out


def one_family(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["input"]["family"] == "a"]


def without_ends(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        del row["result"]["arms"]["general @ end"]
    return rows


@pytest.mark.parametrize(
    ("change", "says"),
    [(one_family, "give two or more"), (without_ends, "no thought with a hint at its end")],
)
def test_a_matrix_too_small_to_judge_by_is_refused(
    change: Any,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = matrix(tmp_path / "whole", tells=True)
    rows = change([row.as_dict() for row in read_rows(whole)])
    path = tmp_path / "rows.jsonl"
    export_jsonl(map(Row.from_dict, rows), path)
    with pytest.raises(SystemExit) as ended:
        fit(f"{path} --out {tmp_path / 'out'}", monkeypatch)
    assert ended.value.code == 2 and not (tmp_path / "out").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
