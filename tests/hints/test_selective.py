"""Policies beyond the paper, and the paper's debug hint filled in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from start_sdk import (
    BeforeEnd,
    ConfigError,
    FirstOf,
    HintContext,
    MissingExtra,
    ReasoningSession,
    Sampling,
    Segment,
    Trace,
    verify_trace,
)
from start_sdk.formats import in_block
from start_sdk.hints import (
    FEATURES,
    AtCalculation,
    Example,
    Learned,
    LearnedPolicy,
    Logit,
    TrustResult,
    WhenUnsure,
    best_constant,
    debug_hint,
    features,
    results,
)
from start_sdk.testing import CharTokenizer, FakeInterpreter, ScriptedBackend


async def think(*script: str, **options: Any) -> Trace:
    session = ReasoningSession(
        ScriptedBackend(script), interpreter=FakeInterpreter(lambda code: "4913"), **options
    )
    trace = await session.run("What is 17 * 289?")
    verify_trace(trace, CharTokenizer())
    return trace


async def test_a_hint_is_inserted_where_a_calculation_begins() -> None:
    trace = await think(
        "I need 17 * 289. So 17 * 289 = 4800 or so.</think>4800",
        "\nprint(17 * 289)\n```\n",
        "It is 4913.</think>4913",
        hints=AtCalculation(),
    )
    assert "So 17 * 289 =\n\nThis is much to work out by hand" in trace.thinking
    assert [(h.position, h.trigger) for h in trace.hints] == [("calculation", "=")]
    assert trace.answer == "4913"


@pytest.mark.parametrize(
    "text", ["Let x = 5.", "So 2 * 3 = 6.", "a = 17 * 289", "f(17, 289) = 3", "x == 17"]
)
async def test_no_hint_without_a_calculation(text: str) -> None:
    trace = await think(f"{text}</think>6", hints=AtCalculation())
    assert trace.hints == []
    assert (await think("2 * 3 = 6</think>6", "6", hints=AtCalculation(digits=1))).hints


async def test_one_hint_for_all_calculations_by_default() -> None:
    script = ["17 * 289 = ", "\n1\n```\n", "and 12 * 34 = 408</think>4", "\n1\n```\n", "</think>4"]
    assert len((await think(*script, hints=AtCalculation())).hints) == 1
    assert len((await think(*script, hints=AtCalculation(max_hints=2))).hints) == 2


def context(thought: str, nats: float | None = None, **more: Any) -> HintContext:
    """The end of a thought; `nats` is the surprisal of each of its characters."""
    ids = tuple(map(ord, thought))
    logprobs = None if nats is None else (-nats,) * len(ids)
    segments = (
        Segment(source="prompt", text="?", token_ids=(63,), phase="prompt"),
        Segment(source="model", text=thought, token_ids=ids, phase="thinking", logprobs=logprobs),
    )
    return HintContext(
        Trace(segments=segments, finish="cancelled"),
        **{"position": "end", "trigger": "</think>", "seed": 0, "calls_left": 6, **more},
    )


def test_no_hint_at_a_calculation_the_model_is_sure_of() -> None:
    sure, unsure = (
        context("So 17 * 289 =", nats, position="connective", trigger="=") for nats in (0.01, 0.5)
    )
    assert AtCalculation(surprise=0.1).decide(sure) is None
    assert AtCalculation(surprise=0.1).decide(unsure) is not None
    assert AtCalculation().decide(sure) is not None


SETTLED = "First 2 * 3 = 6.\n\nWait. 3 * 2 = 6."
UNSETTLED = "First 2 * 3 = 6.\n\nWait. 3 * 2 = 5."


def test_results_of_each_paragraph() -> None:
    assert results(SETTLED) == ["6", "6"] and results(UNSETTLED) == ["6", "5"]
    assert results("I look.\n\nIt is \\boxed{7}.\n\n1,234 = x, so 1,234") == ["7", "1234"]


@pytest.mark.parametrize(
    ("policy", "thought", "nats", "hints"),
    [
        (WhenUnsure(BeforeEnd()), SETTLED, None, False),
        (WhenUnsure(BeforeEnd()), UNSETTLED, None, True),
        (WhenUnsure(BeforeEnd()), "2 * 3 = 6.", None, True),
        (WhenUnsure(BeforeEnd(), surprise=0.3), SETTLED, 0.1, False),
        (WhenUnsure(BeforeEnd(), surprise=0.3), SETTLED, 0.5, True),
        (WhenUnsure(BeforeEnd(), surprise=0.3, results=False), UNSETTLED, 0.1, False),
    ],
)
def test_a_settled_thought_is_left_alone(
    policy: WhenUnsure, thought: str, nats: float | None, hints: bool
) -> None:
    assert (policy.decide(context(thought, nats)) is not None) is hints


def test_when_unsure_needs_a_criterion() -> None:
    with pytest.raises(ConfigError, match="or both"):
        WhenUnsure(BeforeEnd(), results=False)


async def test_a_hint_says_to_trust_results_without_an_error() -> None:
    policy = FirstOf((BeforeEnd(), TrustResult()))
    script = ["5</think>5", "\n1\n```\n", "So 4913.</think>4913"]
    trace = await think(*script, hints=policy)
    assert "```\nPython computed this exactly" in trace.thinking
    assert [(h.id, h.position) for h in trace.hints] == [("general", "end"), ("trust", "output")]


def test_features_of_a_thought() -> None:
    found = features(context(UNSETTLED, 0.5).trace)
    assert found["unsettled"] == 1 and found["differing"] > 0 and found["doubts"] > 0
    assert found["surprise"] == pytest.approx(0.5) == found["worst_surprise"]
    assert features(context(SETTLED).trace)["surprise"] == 0
    assert all(value >= 0 for value in found.values()) and set(found) == set(FEATURES)


FITTED = LearnedPolicy(
    correct=Logit(intercept=1.0, weights={"unsettled": -3.0}),
    hinted={
        "general": Logit(intercept=0.5, weights={}),
        "check-logic": Logit(intercept=0.8, weights={"doubts": -9.0}),
    },
)


def test_a_fitted_policy_hints_if_it_expects_a_gain(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(FITTED.model_dump_json())
    policy = Learned.load(tmp_path / "policy.json")
    assert policy == Learned(FITTED)
    hint = policy.decide(context(UNSETTLED))
    assert hint is not None and hint.id == "general"
    hint = policy.decide(context(UNSETTLED.replace("Wait. ", "")))
    assert hint is not None and hint.id == "check-logic"
    assert policy.decide(context(SETTLED)) is None
    assert policy.decide(context(UNSETTLED, position="connective")) is None
    careful = Learned(FITTED.model_copy(update={"margin": 0.9}))
    assert careful.decide(context(UNSETTLED)) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        json.dumps({**FITTED.model_dump(), "hinted": {}}),
        json.dumps({**FITTED.model_dump(), "correct": {"intercept": 0, "weights": {"luck": 1}}}),
        json.dumps({**FITTED.model_dump(), "hinted": {"nobody": {"intercept": 0, "weights": {}}}}),
    ],
)
def test_an_invalid_policy_file_gives_a_one_line_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy.json").write_text(text)
    with pytest.raises(ConfigError) as refused:
        Learned.load(tmp_path / "policy.json")
    assert "\n" not in str(refused.value)


def example(thought: str, correct: bool, **hinted: bool) -> Example:
    return Example(features(context(thought).trace), correct, hinted)


def test_a_policy_is_fitted_on_outcomes() -> None:
    pytest.importorskip("sklearn")
    seen = [
        example(SETTLED, True, general=False, trust=False),
        example(UNSETTLED, False, general=True, trust=False),
    ] * 10
    policy = LearnedPolicy.fit(seen)
    assert [policy.choice(one.features) for one in seen[:2]] == [None, "general"]
    assert policy.correct(seen[0].features) > 0.9 > 0.1 > policy.correct(seen[1].features)
    never = policy.hinted["trust"]  # Laplace's rule: 1 of 22
    assert never(seen[0].features) == pytest.approx(1 / 22) and never.weights == {}
    assert best_constant(seen) is None  # as good as a hint
    assert best_constant(seen[1:]) == "general"


@pytest.mark.parametrize(
    "examples",
    [
        [],
        [example(SETTLED, True)],
        [example(SETTLED, True, general=True), example(SETTLED, True, trust=True)],
    ],
)
def test_examples_without_the_same_hints_are_refused(examples: list[Example]) -> None:
    for fit in (LearnedPolicy.fit, best_constant):
        with pytest.raises(ConfigError, match="all have the same hints"):
            fit(examples)


@pytest.mark.parametrize("found", [[{}], [dict.fromkeys(FEATURES, float("nan"))], []])
def test_features_that_cannot_be_fitted_are_refused(found: list[dict[str, float]]) -> None:
    with pytest.raises(ConfigError, match="needs all features of each trace, finite"):
        Logit.fit(found, [True])


def test_fitting_without_scikit_learn_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(MissingExtra, match=r"start-sdk\[eval\]"):
        LearnedPolicy.fit([example(SETTLED, True, general=True)])


async def test_a_run_with_logprobs_provides_surprise() -> None:
    policy = WhenUnsure(BeforeEnd(), surprise=0.1, results=False)
    trace = await think("5</think>5", hints=policy, sampling=Sampling(logprobs=True))
    assert trace.hints == []  # a scripted model is always sure


def test_the_debug_hint_for_standard_input() -> None:
    hint = debug_hint([("3\n1 2 3", "6"), ("1\n5", "5")])
    assert hint.fields == () and hint.positions == ("end",)
    assert "(test_input1, test_input2,)" in hint.text and "sys.stdin" in hint.text
    assert "Input 2:\n1\n5\nOutput 2:\n5" in hint.text
    assert in_block(hint.text)


@pytest.mark.parametrize(
    ("starter", "call"),
    [
        ("def add(a, b):\n    ...", "print(add(*test_input1))"),
        ("def add(pair: dict[str, int],) -> int:\n    ...", "print(add(test_input1))"),
        ("def add(*, a: tuple[int, int] = (1, 2), b=3):\n    ...", "print(add(*test_input1))"),
        (
            "class Solution:\n    def __init__(self): ...\n    def add(self, a, b):\n        pass",
            "print(Solution().add(*test_input1))",
        ),
        (
            "class Solution:\n    def add(self, xs: List[int]) -> int:",
            "print(Solution().add(test_input1))",
        ),
    ],
)
def test_the_debug_hint_for_a_function(starter: str, call: str) -> None:
    hint = debug_hint([("1, 2", "3")], starter_code=starter)
    assert starter in hint.text and call in hint.text


def test_a_debug_hint_needs_samples_and_a_function() -> None:
    with pytest.raises(ConfigError, match="sample"):
        debug_hint([])
    with pytest.raises(ConfigError, match="no function"):
        debug_hint([("1", "2")], starter_code="x = 1")
