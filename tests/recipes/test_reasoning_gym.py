"""Problems of reasoning-gym: splits, levels, its scorers beside our judge."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from start_tools.python import PythonTool

from recipes import problems
from recipes.config import Config, read_config
from recipes.data import training_problems
from recipes.questions import Judge, job_of, problem_of
from recipes.reasoning_gym import GymProblem, draw, score, split_of
from recipes.report import markdown, summary
from recipes.settings import Evaluation, Problems
from recipes.suites import Problem
from start_sdk import ConfigError, MissingExtra, ReasoningSession
from start_sdk.batch import Job, Row
from start_sdk.batch.scoring import results
from start_sdk.testing import ScriptedBackend

ROOT = Path(__file__).parents[2]
SMOLLM2 = ROOT / "recipes" / "configs" / "smollm2.toml"
CHAIN = {"chain_sum": {"min_terms": 2, "max_terms": 2, "max_digits": 1}}
LEVELS: dict[str, dict[str, Any]] = {**CHAIN, "gcd": {"max_value": 50}, "spell_backward": {}}


@pytest.fixture
def gym() -> None:
    """Skips a test where the package is not installed."""
    pytest.importorskip("reasoning_gym")


def config(**more: Any) -> Config:
    """A run on these levels."""
    some = Problems(sources=("reasoning_gym",), take={"reasoning_gym": 5})
    evaluation = Evaluation(suites=("reasoning_gym",), levels=LEVELS, kept=("gcd",), n=4, **more)
    return Config(problems=some, evaluation=evaluation)


def as_row(problem: Problem) -> Job:
    """The job of a problem, as a row's JSON has it."""
    job = job_of(problem)
    return replace(job, input=json.loads(json.dumps(job.input)))


@pytest.mark.usefixtures("gym")
def test_splits_share_no_question_and_draws_repeat_none() -> None:
    # Two terms of one digit: 200 questions, so that other seeds draw them again.
    drawn = [
        {p.question for p in draw(CHAIN, split, 30, seed)}
        for split in ("train", "validation", "test")
        for seed in (0, 1)
    ]
    assert all(len(questions) == 30 for questions in drawn)
    train, validation, test = (drawn[i] | drawn[i + 1] for i in (0, 2, 4))
    assert not (train & validation or train & test or validation & test)
    assert drawn[0] & drawn[1] and drawn[0] != drawn[1]
    assert {split_of(question) for question in test} == {"test"}


@pytest.mark.usefixtures("gym")
def test_a_seed_draws_the_same_in_another_process() -> None:
    # Some kinds of the package depend on the order of a set; none of these may.
    levels = read_config(SMOLLM2).evaluation.levels
    code = (
        "from recipes.reasoning_gym import draw\n"
        f"print([(p.id, p.question, p.gold) for p in draw({levels!r}, 'test', 3, 7)])"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "12"}
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, check=True, capture_output=True, text=True
    )
    here = [(p.id, p.question, p.gold) for p in draw(levels, "test", 3, 7)]
    assert there.stdout.strip() == repr(here)
    assert here[0][0] == "chain_sum-test-7-0" and len(here) == 3 * 16


@pytest.mark.usefixtures("gym")
def test_kept_kinds_are_evaluated_and_never_trained_on() -> None:
    trained = training_problems(config())
    assert [p.family for p in trained] == ["chain_sum"] * 5 + ["spell_backward"] * 5
    held_out = problems.held_out(config(seeds=(1, 2)).evaluation, "all")
    assert [p.family for p in held_out[::4]] == [*LEVELS, *LEVELS]
    with pytest.raises(ConfigError, match=r"'lcm' is not in evaluation\.levels"):
        evaluation = Evaluation(levels=LEVELS, kept=("lcm",))
        training_problems(config().model_copy(update={"evaluation": evaluation}))
    with pytest.raises(ConfigError, match=r"problems\.take\.reasoning_gym is missing"):
        training_problems(Config(problems=Problems(sources=("reasoning_gym",))))


@pytest.mark.usefixtures("gym")
def test_the_suite_is_of_a_split_and_of_all_seeds() -> None:
    options = Namespace(suite="reasoning_gym", n=2, seeds=[3, 4], split="validation")
    found, about = problems.chosen(options, config())
    assert {split_of(p.question) for p in found} == {"validation"} and len(found) == 12
    assert about == {"suite": "reasoning_gym", "split": "validation", "n": 2, "seeds": [3, 4]}


@pytest.mark.usefixtures("gym")
@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ({}, "has no kinds"),
        ({"chain_sums": {}}, "there is no kind 'chain_sums'"),
        (
            {"gcd": {"max_digits": 2}},
            "the level of gcd: .*unexpected keyword argument 'max_digits'",
        ),
        ({"gcd": {"seed": 2}}, "the level of gcd: .*multiple values for keyword argument 'seed'"),
        ({"gcd": {"min_value": 9, "max_value": 2}}, "the level of gcd: max_value must be"),
        ({"gcd": {"max_value": 2.5}}, "the level of gcd: "),  # found out when numbers are drawn
        ({"gcd": {"max_value": 2}}, "gcd has . distinct questions of the split test, not 20"),
        ({"countdown": {}}, "the scorer of countdown runs answers as Python code"),
    ],
)
def test_a_level_that_cannot_be_used_is_one_line(levels: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"^reasoning_gym.* {says}[^\n]*$"):
        draw(levels, "test", 20, 0)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == "reasoning_gym"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtra, match=r"pip install 'start-sdk\[gym\]'"):
        draw(CHAIN, "test", 1, 0)


@pytest.mark.usefixtures("gym")
async def test_rows_hold_the_verdict_of_the_package_beside_ours() -> None:
    pytest.importorskip("math_verify")
    from start_sdk.grading import Grader

    (problem,) = draw({"chain_sum": {"min_digits": 2}}, "test", 1, 0)
    restated = problem.question.removesuffix(" =").partition(": ")[2]
    job = as_row(problem)
    from_row = problem_of(job)
    assert from_row == problem
    rows = []
    async with Grader() as grader:
        for answer in (problem.gold, restated, "17.5"):
            text = f"Hm.\n</think>\n\nThe answer is \\boxed{{{answer}}}."
            trace = await ReasoningSession(ScriptedBackend([text])).run(problem.question)
            found = await Judge(grader, PythonTool()).judge(trace, from_row, problem.gold)
            rows.append(Row(job, "done", found | {"policy": "none"}))
    verdicts = [(row.result["correct"], row.result["scored"] == 1) for row in rows if row.result]
    assert verdicts == [(True, True), (True, False), (False, False)]

    made = summary(results(rows), {"suite": "reasoning_gym", "model": "m"})
    assert made["graders"] == {"both": 1, "only ours": 1, "only upstream's": 0, "neither": 1}
    (apart,) = made["disagreements"].values()
    assert apart == {"answer": restated, "gold": problem.gold, "right by": "only ours"}
    assert f"| {restated} | {problem.gold} | only ours |" in markdown(made)
    assert [sample.correct for sample in results(rows, upstream=True)] == [True, False, False]


@pytest.mark.usefixtures("gym")
@pytest.mark.parametrize("name", ["smollm2", "smollm2-gpu"])
def test_the_levels_for_a_small_model_have_enough_problems_that_their_scorers_read(
    name: str,
) -> None:
    run = read_config(SMOLLM2.with_stem(name))
    evaluation = run.evaluation
    assert evaluation.levels == read_config(SMOLLM2).evaluation.levels
    trained, held_out = training_problems(run), problems.held_out(evaluation, "all")
    assert len({p.family for p in trained}) == 12 and len(trained) >= 700
    assert len({p.family for p in held_out}) == 16 and len(held_out) >= 300
    assert not {p.question for p in trained} & {p.question for p in held_out}
    for problem in held_out:
        from_row = problem_of(as_row(problem))
        assert isinstance(from_row, GymProblem) and score(from_row, from_row.gold) == 1
        assert score(from_row, None) < 1 and score(from_row, "no answer at all") < 1
