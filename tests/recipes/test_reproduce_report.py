"""What a report says, from rows written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("statsmodels")
pytest.importorskip("matplotlib")

from rows import write_rows

from recipes.config import Config
from recipes.reproduce import names
from recipes.reproduce.report import write_report
from recipes.reproduce.results import Run, collect
from recipes.reproduce.steps import RECORD
from recipes.settings import Evaluation, RolloutConfig
from start_sdk import Segment, Trace
from start_sdk.batch import Job, Row

HINTS = ("end:general", "end:deeper-think")
FAMILIES = ("pairs", "sums", "orders")
"""The last one is kept from training."""


def trace(tokens: int) -> dict[str, Any]:
    segment = Segment(source="model", phase="thinking", text="x", token_ids=(1,) * tokens)
    return Trace(segments=(segment,), finish="eos").model_dump(mode="json")


def row(number: int, correct: bool, calls: int = 0, policy: str = "none", tokens: int = 100) -> Row:
    family = FAMILIES[number % 3]
    question = {"id": f"p{number}", "question": f"What is {number}?", "gold": "4"}
    job = Job(problem=f"p{number}", policy=policy, input={**question, "family": family})
    graded = {"answer": "4" if correct else "5", "gold": "4", "correct": correct, "how": "math"}
    scored = float(correct and number != 5)  # by a scorer that refuses a right answer
    more = {"scored": scored, "calls": calls, "trace": trace(tokens)}
    return Row(job, "done", {**graded, **more})


def run_of(folder: Path, seed: int = 0, start: Sequence[bool] = (True,) * 12) -> Run:
    """A finished run on 12 problems, of which the base model gets every fourth right."""
    config = Config(
        base="start-tiny-base",
        seed=seed,
        hinted=RolloutConfig(hints=HINTS),
        evaluation=Evaluation(suites=("tiny",), rounds=1),
    )
    base = [number % 4 == 0 for number in range(12)]
    rows = {
        "plain": [row(n, False) for n in range(12) if FAMILIES[n % 3] != "orders"],
        "eval-base": [
            *(row(n, right) for n, right in enumerate(base)),
            *(row(n, n == 0, policy="no-tool") for n in range(12)),
        ],
        "eval-hinted": [
            row(n, n != 5 or hint == HINTS[1], 1, hint) for n in range(12) for hint in HINTS
        ],
        "eval-start": [row(n, r, int(n != 0), tokens=50) for n, r in enumerate(start)],
        **{f"eval-{name}": [row(n, n % 2 == 0) for n in range(12)]
           for name in ("text-rft", "start-0", "unselected", "masked")},
    }  # fmt: skip
    for name in ("rounds-base", "rounds-start"):
        steps = [{"answer": "4", "correct": c, "calls": c, "sampled": 10} for c in (False, True)]
        early = [steps[0]]  # a limit ended it: no room for a round
        rows[name] = [
            Row(Job(problem=f"p{n}", policy="rounds:1"), "done", {**some[-1], "steps": some})
            for n, some in enumerate((steps, early))
        ]
    for name, some in rows.items():
        write_rows(folder / name, some)
    for name in names(config):
        report = {"none": {"samples": 12, "correct": 3, "sampled tokens": 1200}}
        (folder / name).mkdir(exist_ok=True)
        record = {"key": "", "seconds": 1.0, "report": report}
        (folder / name / RECORD).write_text(json.dumps(record))
    return config, folder


def value(found: dict[str, Any], system: str, group: str = "all") -> float:
    return float(found["systems"][system][group]["pass@1"]["value"])


def test_every_system_is_scored_on_all_problems_and_on_those_kept_from_training(
    tmp_path: Path,
) -> None:
    found = collect([run_of(tmp_path)])
    assert found["groups"] == {
        "trained on": ["pairs", "sums"], "kept from training": ["orders"], "all": sorted(FAMILIES),
    }  # fmt: skip
    assert (value(found, "base"), value(found, "START"), value(found, "text RFT")) == (25, 100, 50)
    assert value(found, "base without a tool") == pytest.approx(8.33)
    assert found["best hint"] == "Hint-infer: end:deeper-think"
    assert value(found, "Hint-infer: end:general") == pytest.approx(91.67)
    assert value(found, "Hint-infer: end:general", "kept from training") == 75
    gain = found["gains"]["START - base"]["all"]
    assert gain["value"] == 75 and 0 < gain["low"] < 75 < gain["high"] <= 100
    assert found["gains"]["START - Hint-infer: end:deeper-think"]["all"]["value"] == 0
    assert found["gains"]["START-0 - base"]["all"]["value"] == 25
    start = found["systems"]["START"]["all"]
    assert (start["tokens per right answer"], start["calls per problem"]) == (
        50,
        pytest.approx(11 / 12),
    )
    assert found["systems"]["base"]["all"]["tokens per right answer"] == 400


def test_calls_are_split_by_what_the_base_model_does(tmp_path: Path) -> None:
    calls = collect([run_of(tmp_path)])["calls"]["START"]
    assert calls["base wrong"]["problems"] == 9 and calls["base right"]["problems"] == 3
    assert calls["base wrong"]["with calls"]["value"] == 100
    assert calls["base right"]["with calls"]["value"] == pytest.approx(66.67)


def test_a_thought_that_ended_early_keeps_its_last_round(tmp_path: Path) -> None:
    base = collect([run_of(tmp_path)])["rounds"]["base"]
    assert [point["pass@1"]["value"] for point in base] == [0, 50]
    assert [point["tokens"] for point in base] == [10, 15]
    assert [point["calls per problem"] for point in base] == [0, 0.5]


def test_seeds_are_samples_of_the_same_problems(tmp_path: Path) -> None:
    half = [number < 6 for number in range(12)]
    runs = [run_of(tmp_path / "0"), run_of(tmp_path / "1", seed=1, start=half)]
    found = collect(runs)
    assert (found["seeds"], found["problems"]) == ([0, 1], 12)
    assert value(found, "START") == 75 and value(found, "base") == 25
    assert found["gains"]["START - base"]["all"]["value"] == 50
    assert len(found["data"]["plain"]) == 2


def test_the_report_is_a_page_and_a_picture_and_always_the_same(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    write_report([run], tmp_path / "one")
    write_report([run], tmp_path / "other")
    for name in ("report.md", "report.json", "report.png"):
        one = (tmp_path / "one" / name).read_bytes()
        assert one and one == (tmp_path / "other" / name).read_bytes()
    text = (tmp_path / "one" / "report.md").read_text(encoding="utf-8")
    assert (
        "| base without a tool | base | text RFT | Hint-infer, end:deeper-think | START-0 | START |"
        in text
    )
    assert "| orders (kept from training) | 4 | 0.0 [" in text
    assert "| START - base | +75.0 [" in text
    assert "### orders\n\n> What is 2?\n\nRight: 4. The base model answers 5:" in text
    assert text.count("START answers 4 (calls: 1):") == 3


def test_what_only_one_grader_finds_right_is_listed(tmp_path: Path) -> None:
    found = write_report([run_of(tmp_path)], tmp_path / "report")
    apart = {"answer": "4", "gold": "4", "right by": "only ours"}
    systems = ("Hint-infer: end:deeper-think", "START")  # the others are wrong on it
    assert found["disagreements"] == {f"p5, {name}, 0": apart for name in systems}
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "| p5, START, 0 | 4 | 4 | only ours |" in text


def test_losses_are_those_of_the_logs_that_are_there(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    lines = [{"loss": 1.5, "num_tokens": 10.0}, {"loss": 0.5, "num_tokens": 20.0}, {"epoch": 1.0}]
    log = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "start" / "train.jsonl").write_text(log, encoding="utf-8")
    found = write_report([run], tmp_path / "report")
    assert found["losses"] == {"start": [(10, 1.5), (20, 0.5)]}


def test_seeds_are_shown_side_by_side(tmp_path: Path) -> None:
    wrong = (False,) * 3 + (True,) * 9
    runs = [run_of(tmp_path / "a", 1), run_of(tmp_path / "b", 2, start=wrong)]
    found = write_report(runs, tmp_path)
    assert found["by seed"]["START"] == [100, 75] and found["by seed"]["base"] == [25, 25]
    assert found["problems"] == 12  # of which both seeds ask the same
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| START | 100.0 | 75.0 | 17.7 |" in text
    assert "Between seeds" not in _alone(tmp_path)


def _alone(folder: Path) -> str:
    write_report([run_of(folder / "c")], folder / "alone")
    return (folder / "alone" / "report.md").read_text(encoding="utf-8")
