"""`start-sdk demo`: what a model gets wrong, without a hint and with one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from typer.testing import CliRunner

from start_sdk.cli import app
from start_sdk.cli.demo import draw, is_right
from start_sdk.testing import ScriptedBackend


@pytest.mark.torch
def test_the_embedded_model_solves_the_coins_problem_with_a_hint_only() -> None:
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == 0, done.stderr
    assert "without a hint" in done.stdout and ": wrong" in done.stdout
    assert "answer 11: right" in done.stdout
    *_, alone, hinted = done.stdout.splitlines()
    assert alone == "By itself, 0 of 1 questions are right."
    assert hinted.startswith("With a hint, 1 of the 1 shown are, in ")


def test_what_another_model_gets_wrong_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    golds = draw(20, 0)
    failing = [*golds][5:13]

    def script(prompt: str) -> Sequence[str]:
        question = next(q for q in golds if q in prompt)
        if question not in failing:
            return [f"Easy.\n</think>\n\n\\boxed{{{golds[question]}}}"]
        return [
            "Hm.\n</think>\n\n\\boxed{0}",
            f"\nprint({golds[question]})\n```\n",
            f"So.\n</think>\n\n\\boxed{{{golds[question]}}}",
        ]

    backend = ScriptedBackend(script)
    monkeypatch.setattr("start_sdk.cli._models.open_backend", lambda *_: backend)
    done = CliRunner().invoke(app, ["demo", "--model", "scripted"])
    assert done.exit_code == 0, done.stderr
    shown = [line for line in done.stdout.splitlines() if line.startswith("What is ")]
    assert shown == [f"{question} ({golds[question]})" for question in failing[:6]]
    assert done.stdout.count("answer 0: wrong") == done.stdout.count(": right") == 6
    *_, alone, hinted = done.stdout.splitlines()
    assert alone == "By itself, 12 of 20 questions are right."
    assert hinted.startswith("With a hint, 6 of the 6 shown are, in ")


@pytest.mark.torch
def test_a_model_that_is_not_there_is_one_line() -> None:
    done = CliRunner().invoke(app, ["demo", "--model", "no/such-model"])
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("start-sdk: no model 'no/such-model'")


def test_a_seed_draws_the_same_different_questions_with_their_answers() -> None:
    drawn = draw(40, 3)
    assert draw(20, 0) == draw(20, 0) != draw(20, 1) and len(drawn) == 40
    for question, gold in drawn.items():
        assert eval(question.removeprefix("What is ").removesuffix("?")) == gold


@pytest.mark.parametrize(
    ("answer", "right"),
    [("156", True), ("12 * 13 = 156", True), ("1,156", False), ("156.0", True), (None, False)],
)
def test_the_last_number_of_an_answer_counts(answer: str | None, right: bool) -> None:
    assert is_right(answer, 156) is right
