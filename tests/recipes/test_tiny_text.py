"""The training text of the miniature, document by document. Needs no torch."""

import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tiny_solvers import numbers, printed, shown_samples

from recipes.tiny import phrases, text
from recipes.tiny.phrases import START_HINTS
from recipes.tiny.text import holds_held_out, make_document

DOCUMENTS = 5_000
CONFIG = Path(text.__file__).parent / "configs" / "control.toml"
CONTROL = tuple(tomllib.loads(CONFIG.read_text(encoding="utf-8"))["shares"].values())
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.S)
_FENCE = re.compile(r"```(python|output)\n(.*?)\n```", re.S)
_COPYING = re.compile(r"\w+ = (?:(?:solve|f)\(\d+\)|main\(\))\nprint\(\w+\)")
_ANSWER = re.compile(
    r"assistant\n(<think>[^`]*</think>\n\n)?```python\n[^`]*```<\|im_end\|>\n", re.S
)
_HELD_OUT = re.compile(r"\b17 ?(\^|\*\*) ?2(?!\d)|\bp ?= ?17\b|divisible by 289\b|% 289\b")


@cache
def drawn(shares: tuple[float, ...]) -> list[str]:
    """Documents of several seeds: the tokenizer's low numbers, and training's."""
    half = DOCUMENTS // 2
    low = [make_document(0, index, shares) for index in range(half)]
    return low + [make_document(5, 100_000 + index, shares) for index in range(half)]


@pytest.fixture
def documents() -> list[str]:
    """Documents of the base model."""
    return drawn(text.SHARES)


@pytest.fixture
def control() -> list[str]:
    """Documents of the negative control."""
    return drawn(CONTROL)


@pytest.fixture(params=[text.SHARES, CONTROL], ids=["base", "control"])
def either(request: pytest.FixtureRequest) -> list[str]:
    """Documents of the one, then of the other."""
    return drawn(request.param)


def kind(document: str) -> str:
    """What kind a document is, by what stands in it; runs have an output."""
    thinks, runs = "<think>" in document, "```output" in document
    return {
        (True, False): "thought",
        (False, True): "code",
        (True, True): "pasted",
        (False, False): "plain",
    }[thinks, runs]


def runs(document: str) -> Iterator[tuple[str, str]]:
    """Every program of a document that has an output, with it; in order."""
    fences = _FENCE.findall(document)
    for (one, code), (other, output) in itertools.pairwise(fences):
        if (one, other) == ("python", "output"):
            yield code, output


def test_documents_are_fixed_by_seed_index_and_shares(documents: list[str]) -> None:
    assert documents[:200] == [make_document(0, index) for index in range(200)]
    assert documents[-1] == make_document(5, 100_000 + DOCUMENTS // 2 - 1, text.SHARES)
    assert make_document(0, 1) != make_document(1, 1)


def test_documents_are_distinct_and_whole(either: list[str]) -> None:
    assert len(set(either)) > 0.98 * len(either)
    for document in either:
        assert document.endswith((text.END_OF_TEXT, text.END_OF_TURN + "\n"))
        assert document.count(text.TURN) == document.count(text.END_OF_TURN)
        assert document.count(text.END_OF_TEXT) == (text.TURN not in document)
        assert document.count("```") % 2 == 0


def test_shares_of_the_kinds(documents: list[str], control: list[str]) -> None:
    found = Counter(map(kind, documents))
    wanted = dict(zip(("thought", "code", "pasted", "plain"), text.SHARES, strict=True))
    for name, share in wanted.items():
        assert found[name] / DOCUMENTS == pytest.approx(share, abs=0.02), name
    thoughts = Counter(map(kind, control))
    assert thoughts["thought"] / DOCUMENTS == pytest.approx(CONTROL[0] / sum(CONTROL), abs=0.02)
    assert set(thoughts) == {"thought", "plain"}


def test_no_thought_holds_code_and_after_it_stands_an_answer_alone(either: list[str]) -> None:
    after = Counter[str]()
    for document in either:
        assert document.count("<think>") == document.count("</think>") <= 1
        for inner in _THOUGHT.findall(document):
            assert "```" not in inner
            assert "print(" not in inner
            assert "def f" not in inner
            end = document.partition("</think>")[2]
            found = re.fullmatch(
                r"\n\n(?:The answer is \\boxed\{\d+\}\.|It prints \d+\.|"
                r"(?P<code>```python\ndef f\(n\):\n    return [^`\n]+\n```))<\|im_end\|>\n",
                end,
            )
            assert found, end
            after["code" if found["code"] else "number"] += 1
    assert min(after.values()) > 0.05 * sum(after.values())


def test_outputs_that_are_thought_about_stand_in_the_users_turn_before(
    documents: list[str],
) -> None:
    pasted = [document for document in documents if kind(document) == "pasted"]
    for document in pasted:
        before, _, last = document.partition("<think>")[0].rpartition(text.TURN)
        assert last == "assistant\n"
        turn = before.rpartition(text.TURN)[2]
        assert turn.startswith("user\n")
        assert "```output\n" in turn
    assert len(pasted) > 500


def test_the_turns_of_a_thought_never_stand_beside_code(documents: list[str]) -> None:
    for document in documents:
        if kind(document) in ("code", "pasted"):
            assert "wait" not in document.lower()
            assert "alternatively" not in document.lower()
    thoughts = [document for document in documents if kind(document) == "thought"]
    for turn in ("Wait", "Alternatively"):
        assert sum(turn in document for document in thoughts) > 0.15 * len(thoughts)


def test_no_hint_of_start_stands_in_a_document(either: list[str]) -> None:
    for document in either:
        lowered = document.lower()
        assert not any(hint in lowered for hint in START_HINTS)


def test_what_is_held_out_stands_in_no_document(either: list[str]) -> None:
    for document in either:
        found = numbers(document)
        for triple in zip(found, found[1:], found[2:], strict=False):
            assert set(triple) != {6, 10, 15}
        assert not _HELD_OUT.search(document)


@pytest.mark.parametrize("order", list(itertools.permutations(("6", "10", "15"))))
def test_the_triple_is_seen_in_any_order(order: tuple[str, ...]) -> None:
    assert holds_held_out(f"values {order[0]}, {order[1]} and {order[2]} cents")
    assert holds_held_out(f"coins = [{', '.join(order)}]")
    assert not holds_held_out("6, 10 and 16; 15, 6 and 106")


def test_the_prime_is_seen_in_its_forms() -> None:
    for form in ("divisible by 17^2.", "(m**4 + 1) % 17**2", "So p = 17."):
        assert holds_held_out(form)
    for form in ("17 * 2", "117^2", "17^3", "p = 170", "217**2", "x = 17"):
        assert not holds_held_out(form)


def test_all_forms_occur(documents: list[str]) -> None:
    joined = "\n".join(documents)
    for join in phrases.FENCE_JOINS:
        assert re.search(rf"[.:]{join}```python\n", joined)
    assert re.search(r"NameError: name '\w+' is not defined\n```\n[^`]*```python", joined)
    for nothing in ("None", "none", r"\[\]"):
        assert re.search(rf"```output\n{nothing}\n```\n[^`<]+```python\n", joined)
    contradicted = r"(?:The example says|should be) \d+[^`]*\n*```python\ndef f"
    assert re.search(contradicted, joined)
    assert re.search(rf"```output\n{text.TURN}|<\|im_start\|>user\n```output\n", joined)


def test_outputs_in_documents_are_what_the_programs_print(documents: list[str]) -> None:
    checked = 0
    for document in documents:
        names: dict[str, Any] = {}
        for code, output in runs(document):
            if _COPYING.fullmatch(code):
                continue  # an output that nobody can know: practice in copying
            assert printed(code, names) == output, document
            checked += 1
    assert checked > DOCUMENTS / 2


def test_boxed_answers_agree_with_the_last_output(documents: list[str]) -> None:
    boxes = 0
    for document in documents:
        # A box before the last run belongs to an earlier turn.
        last = document.rpartition("```output\n")[2]
        found = re.findall(r"\\boxed\{(\d+)\}", last)
        if kind(document) in ("code", "pasted") and found:
            assert {numbers(last.partition("\n```")[0])[-1]} == set(map(int, found)), document
            boxes += 1
    assert boxes > DOCUMENTS / 3


def test_boxed_answers_of_a_document_without_code_are_one(either: list[str]) -> None:
    for document in either:
        if kind(document) in ("thought", "plain"):
            turn = document.rpartition(text.TURN)[2]
            assert len(set(re.findall(r"\\boxed\{(\d+)\}", turn))) <= 1


def test_the_control_has_code_only_as_the_answer_of_a_code_task(control: list[str]) -> None:
    blocks = 0
    for document in control:
        assert "```output" not in document
        assert "print(" not in document
        assert "```python" in document or "```" not in document
        for _, code in _FENCE.findall(document):
            assert re.fullmatch(r"def f\(n\):\n    return [^\n]+", code)
            blocks += 1
        for turn in document.split(text.TURN):
            if "```" in turn:
                assert _ANSWER.fullmatch(turn)
    assert blocks > 100


def test_code_tasks_end_with_a_function_that_gives_the_examples(documents: list[str]) -> None:
    checked = 0
    for document in documents:
        before, _, end = document.partition("</think>")
        blocks = _FENCE.findall(end)
        if not blocks:
            continue
        names: dict[str, Any] = {}
        assert printed(blocks[-1][1], names) == ""
        turns = [t.partition(text.END_OF_TURN)[0] for t in before.split(f"{text.TURN}user\n")]
        question = [turn for turn in turns if "f(n)" in turn][-1]
        shown = shown_samples(question)
        assert shown
        for sample in shown:
            assert names["f"](sample.argument) == sample.value, document
        checked += 1
    assert checked > 200
