"""The library has the paper's exact texts; policies are pure and reproducible."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from start_sdk import (
    AfterConnective,
    BeforeEnd,
    ConfigError,
    FirstOf,
    HintContext,
    HintLibrary,
    HintRecord,
    NoHints,
    Segment,
    Trace,
)

# START (arXiv 2503.04625), figure of the hint library and figure 5.
PAPER = {
    "complex-calculations": "I can use Python to perform complex calculations for this problem.```python",
    "self-reflection": "I can use Python to check if my approach is correct and refine it, if necessary.```python",
    "check-logic": "maybe Python can assist in ensuring our logical deductions are sound.```python",
    "alternative-method": "I can use Python to explore an alternative method for solving this problem.```python",
    "general": "maybe using python here is a good idea.\n```python",
    "deeper-think": "I can think more deeply about this problem through python tools.```python",
    "round-1": "Wait, I can use Python to check if my approach is correct and refine it, if necessary.```python",
    "round-2": "Wait, I need to utilize Python code again to meticulously check to make sure I understand "
    "the question correctly as well as reasoning correctly.```python",
    "round-3": "Wait, I can think more deeply about this problem through python tools.```python",
}  # fmt: skip


def context(
    position: Literal["connective", "end"],
    trigger: str = "Wait",
    given: int = 0,
    n: int = 9,
    seed: int = 0,
) -> HintContext:
    record = HintRecord(id="x", category="", domain="", position=position, trigger=trigger, round=1)
    prompt = Segment(source="prompt", text="?" * n, token_ids=(1,) * n, phase="prompt")
    hint = Segment(source="hint", text="", token_ids=(), phase="thinking", hint=record)
    trace = Trace(segments=(prompt, *[hint] * given), finish="cancelled")
    return HintContext(trace, position, trigger, seed, calls_left=6)


def test_the_papers_texts_are_exact_and_labelled() -> None:
    library = HintLibrary.load()
    assert {h.id: h.text for h in library if h.origin == "paper" and h.id != "debug"} == PAPER
    assert len(library.select(domain="math")) == 6
    debug = library.get("debug")
    assert debug.domain == "code" and debug.text.endswith("samples input.\n```python")
    assert debug.text.startswith("Let me first write a code that includes all test cases from")
    assert debug.fields == ("code_template", "sample_output", "testcase")


def test_our_texts_are_labelled_ours_and_end_in_an_open_fence() -> None:
    library = HintLibrary.load()
    ours = [h for h in library if h.origin == "ours"]
    assert {h.lang for h in ours} == {"en", "zh"}
    assert {h.category for h in library.select(lang="zh")} == {
        h.category for h in library.select(domain="math")
    }
    assert len(library.select(domain="science")) >= 3
    assert all(h.text.endswith("```python") != (h.domain == "control") for h in library)


def test_only_texts_without_a_conjunction_get_an_opening() -> None:
    library = HintLibrary.load()
    assert library.get("general").opening == "Wait, "
    assert library.get("zh-general").opening == "等等，"
    assert library.get("round-1").opening == library.get("debug").opening == ""


def test_fields_are_filled_in_one_pass() -> None:
    filled = (
        HintLibrary.load()
        .get("debug")
        .fill(code_template="print({testcase})", sample_output="[...]", testcase="1 2")
    )
    assert "```python\nprint({testcase})\n```output\n[...]\nAlright" in filled.text
    assert "statement.1 2 Alright" in filled.text
    with pytest.raises(ConfigError, match="no field 'x'"):
        filled.fill(x="1")


def test_a_hint_with_unfilled_fields_is_refused() -> None:
    with pytest.raises(ConfigError, match="fields to fill in"):
        BeforeEnd(hints=("debug",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[hint]]\nid = 'a'\n", "text: Field required"),
        ("not toml", "cannot be read"),
        ("[hint]\nid = 'a'\n", "hints as [[hint]]"),
        ("[[hint]]\nid='a'\ntext='t'\ncategory='c'\ndomain='d'\n" * 2, "duplicate ids: a"),
        ("[[hint]]\nid='a'\ntext='t'\ncategory='c'\ndomain='d'\npositions=['roof']\n", "positions"),
    ],
)
def test_an_invalid_library_gives_a_clear_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        HintLibrary.load(path)
    assert says in str(error.value)


def test_a_policy_can_use_a_custom_library(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        "[openings]\nen = 'Hm, '\n[connectives]\nen = ['But']\n"
        "[[hint]]\nid='mine'\ntext='look.```python'\ncategory='c'\ndomain='math'\n",
        encoding="utf-8",
    )
    library = HintLibrary.load(path)
    assert AfterConnective(library=library).triggers == ("But",)
    hint = BeforeEnd(hints=("mine",), library=library).decide(context("end"))
    assert hint is not None and hint.opening + hint.text == "Hm, look.```python"


def test_an_unknown_hint_lists_the_available_ones() -> None:
    with pytest.raises(ConfigError, match="no hint 'nope'; available: complex-calculations"):
        BeforeEnd(hints=("nope",))


def test_no_hints_never_hints() -> None:
    assert NoHints().decide(context("end")) is None and NoHints().triggers == ()


def test_before_end_hints_once_per_round() -> None:
    policy = BeforeEnd()
    first = policy.decide(context("end"))
    assert first is not None and first.id == "general"
    assert policy.decide(context("end", given=1)) is None
    assert policy.decide(context("connective")) is None
    rounds = BeforeEnd(rounds=4)
    given = [rounds.decide(context("end", given=i)) for i in range(5)]
    assert [h.id if h else None for h in given] == [
        "round-1",
        "round-2",
        "round-3",
        "round-4",
        None,
    ]


def test_after_connective_depends_only_on_seed_run_and_position() -> None:
    policy = AfterConnective(probability=0.5, seed=1)
    contexts = [context("connective", n=n, seed=seed) for n in range(1, 60) for seed in (0, 1)]
    first = [policy.decide(c) for c in contexts]
    assert first == [policy.decide(c) for c in reversed(contexts)][::-1]
    given = [h for h in first if h]
    assert 0.3 < len(given) / len(contexts) < 0.7
    assert len({h.id for h in given}) == 6  # all six of the paper are drawn
    assert first != [AfterConnective(probability=0.5, seed=2).decide(c) for c in contexts]
    assert first[::2] != first[1::2]


def test_after_connective_respects_its_limits() -> None:
    policy = AfterConnective(max_hints=2)
    assert policy.decide(context("connective", given=1)) is not None
    assert policy.decide(context("connective", given=2)) is None
    assert policy.decide(context("connective", trigger="But")) is None
    assert AfterConnective(probability=0).decide(context("connective")) is None


def test_connectives_depend_on_the_language() -> None:
    policy = AfterConnective(lang="zh")
    assert "等等" in policy.triggers
    hint = policy.decide(context("connective", trigger="等等"))
    assert hint is not None and hint.lang == "zh"


@pytest.mark.parametrize(
    "make",
    [
        lambda: BeforeEnd(rounds=0),
        lambda: BeforeEnd(hints=()),
        lambda: AfterConnective(probability=1.5),
        lambda: AfterConnective(max_hints=0),
        lambda: AfterConnective(words=()),
        lambda: AfterConnective(lang="xx"),
        lambda: AfterConnective(hints=("round-1",)),  # "Wait, Wait, I can"
    ],
)
def test_invalid_settings_are_refused(make: object) -> None:
    with pytest.raises(ConfigError):
        make()  # type: ignore[operator]


def test_the_first_policy_with_a_hint_wins() -> None:
    policy = FirstOf((NoHints(), AfterConnective(words=("But",)), BeforeEnd()))
    assert policy.triggers == ("But",)
    hint = policy.decide(context("end"))
    assert hint is not None and hint.id == "general"
