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

from recipes import fit_policy, tts
from recipes.compare import Arm, arms, markdown
from start_sdk import ConfigError, HintContext, Segment, Trace
from start_sdk.batch import Job, Row
from start_sdk.batch.scoring import grouped, results
from start_sdk.hints import Learned


def done(
    number: int, policy: str, correct: bool, family: str = "f", sample: int = 0, **more: Any
) -> Row:
    given = {"question": f"q{number}?", "family": family}
    job = Job(problem=f"p{number}", policy=policy, sample=sample, input=given)
    result = {"answer": "1", "correct": correct, "how": "exact", "calls": 1, "sampled": 10}
    return Row(job, "done", {**result, **more})


def compared(rows: list[Row], against: str = "none") -> dict[str, Arm]:
    return arms(grouped(results(rows), "policy"), against)


def test_rescued_is_of_the_wrong_and_broken_of_the_right() -> None:
    # Of 8 wrong answers 6 are rescued, of 4 right ones 1 is broken.
    pairs = [(False, i < 6) for i in range(8)] + [(True, i > 0) for i in range(4)]
    rows = [done(i, "none", before) for i, (before, _) in enumerate(pairs)]
    for i, (_, after) in enumerate(pairs):
        replayed = int(i % 3 > 0)  # its call was the base's
        rows.append(done(i, "end:h", after, calls=1, replayed=replayed, sampled=i, hints=1))
    rows.append(done(0, "connective:h", True))
    found = compared(rows)
    end, connective = found["end:h"], found["connective:h"]
    assert (end["problems"], end["with calls"], end["tokens"]) == (12, 4 / 12, 5.5)
    assert (end["rescued"]["value"], end["broken"]["value"], end["hinted"]) == (75, 25, 1)
    assert end["rescued"]["low"] < 75 < end["rescued"]["high"]
    assert end["before"]["value"] == pytest.approx(33.33) and end["after"]["value"] == 75
    assert end["gain"]["value"] == pytest.approx(41.67)
    # Exact: 6 flips one way, 1 the other: 2 * 8 / 128.
    assert end["McNemar p"] == pytest.approx(0.125)
    assert (connective["problems"], connective["broken"]) == (1, None)
    text = markdown(found.items())
    assert "| end:h | 12 | 33.3 [" in text and "| connective:h | 1 |" in text and "| - |" in text


def test_a_question_that_was_drawn_again_is_no_further_problem() -> None:
    """All rows of a problem are drawn together, so that repeating it narrows no interval."""

    def rows(copies: int) -> list[Row]:
        return [
            Row(Job(problem=f"{r.job.problem}-{copy}", policy=r.job.policy, input=r.job.input),
                "done", r.result)
            for copy in range(copies)
            for i in range(6)
            for r in (done(i, "none", i < 3), done(i, "end:h", i % 2 == 0))
        ]  # fmt: skip

    once, twice = (compared(rows(copies))["end:h"] for copies in (1, 2))
    assert (once["problems"], twice["problems"]) == (6, 6)
    for name in ("before", "after", "gain", "rescued", "broken"):
        assert once[name] == pytest.approx(twice[name])


def test_policies_are_compared_with_any_of_them() -> None:
    outcomes = {"none": "0011", "end": "0101", "learned": "0111"}
    rows = [
        done(i, name, right[i] == "1", sampled=10 * i, hints=i % 2)
        for name, right in outcomes.items()
        for i in range(4)
    ]
    none = compared(rows)
    shares = [(arm["rescued"]["value"], arm["broken"]["value"]) for arm in none.values()]
    assert shares == [(50, 50), (50, 0)]
    assert [arm["gain"]["value"] for arm in compared(rows, "end").values()] == [0, 25]
    assert (none["end"]["hinted"], none["end"]["tokens"]) == (0.5, 15)
    with pytest.raises(ConfigError, match="There are: none, end, learned"):
        compared(rows, "start")
    with pytest.raises(ConfigError, match="no problem in common"):
        compared([done(1, "none", True), done(2, "end", True)])


def step(sampled: int, correct: bool, answer: str = "1") -> dict[str, Any]:
    return {"sampled": sampled, "correct": correct, "answer": answer}


def scaled(number: int, hints: list[Any], waits: list[Any], votes: list[Any]) -> list[Row]:
    """The rows of a problem; tokens are those of each step."""
    rows = [
        done(number, f"{way}:9", steps[-1]["correct"], steps=steps)
        for way, steps in (("rounds", hints), ("wait", waits))
    ]
    return rows + [done(number, "none", sample=i, **vote) for i, vote in enumerate(votes)]


def test_curves_take_what_fits_into_the_tokens_of_the_hints() -> None:
    first = step(100, False, "0")
    rows = scaled(
        0,
        [first, step(50, True), step(70, False, "0")],
        [first, step(49, True), step(81, False, "0")],
        [first, step(60, True), step(60, True)],
    )
    short = [step(50, True)]  # a limit ended the first thought
    made = tts.curves(results([*rows, *scaled(1, short, short, short)]), 2)
    right = {way: [p["accuracy"]["value"] for p in made[way]] for way in tts.WAYS}
    assert right == {"rounds": [50, 100, 50], "wait": [50, 100, 100], "none": [50, 50, 100]}
    tokens = {way: [p["tokens"] for p in made[way]] for way in tts.WAYS}
    assert tokens["rounds"] == [75, 100, 135] and tokens["wait"] == [75, 99.5, 99.5]
    assert tokens["none"] == [75, 75, 135]
    assert [p["steps"] for p in made["none"]] == [1, 1, 2]


def test_a_tie_of_votes_is_half_a_right_answer() -> None:
    first, right = step(10, False, "0"), step(10, True)
    made = tts.curves(results(scaled(0, [first, right], [first], [first, right])), 1)
    vote = made["none"][1]
    assert (vote["accuracy"]["value"], vote["tokens"], vote["steps"]) == (50, 20, 2)


def test_no_rows_give_no_curves() -> None:
    with pytest.raises(ConfigError, match="no rows"):
        tts.curves(results([Row(Job(problem="q"), "failed", error="no")]), 2)


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


def matrix(*, tells: bool) -> list[Row]:
    """Unsettled thoughts are wrong and a hint rescues them; settled ones it breaks. Or all by lot."""
    rng, rows = Random(1), []
    for number in range(120):
        unsettled = rng.random() < 0.5
        trace = thought(UNSETTLED if unsettled else SETTLED).model_dump(mode="json")
        right = not unsettled if tells else rng.random() < 0.5
        hinted = not right if tells else rng.random() < 0.5
        family = "abc"[number % 3]
        rows.append(done(number, "none", right, family, trace=trace))
        rows.append(done(number, "end:general", hinted, family))
        rows.append(done(number, "last-wait:general", False, family))
        rows.append(done(number, "prompt:direct", False, family))
    return rows


def fit(rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    write_rows(tmp_path / "matrix", rows)
    line = [str(tmp_path / "matrix"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["fit_policy", *line])
    return fit_policy.main()


def low(out: str) -> float:
    """The lower end of the interval of what the learned policy gains."""
    _, _, interval = out.partition("learned - best constant: ")
    return float(interval.partition("[")[2].partition(",")[0])


def test_a_fitted_policy_hints_where_hints_rescue_in_families_it_has_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(matrix(tells=True), tmp_path, monkeypatch) == 0
    out = capsys.readouterr().out
    assert low(out) > 0
    whole = next(line for line in out.splitlines() if line.startswith("| all |"))
    assert whole.split(" | ")[4] == "100.0"
    policy = Learned.load(tmp_path / "out" / "without-a.json")
    for text, speaks in ((UNSETTLED, True), (SETTLED, False)):
        hint = policy.decide(HintContext(thought(text), "end", "</think>", 0, 6))
        assert (hint is not None) is speaks


def test_what_cannot_be_told_is_not_said_to_carry_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(matrix(tells=False), tmp_path, monkeypatch) == 0
    assert low(capsys.readouterr().out) <= 0


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (lambda row: row.job.input["family"] == "a", "give two or more"),
        (lambda row: row.job.policy != "end:general", "no thought with a hint at its end"),
    ],
)
def test_a_matrix_too_small_to_judge_by_is_refused(
    left: Any,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        fit([row for row in matrix(tells=True) if left(row)], tmp_path, monkeypatch)
    assert ended.value.code == 2 and not (tmp_path / "out").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
