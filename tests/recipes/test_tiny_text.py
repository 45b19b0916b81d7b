"""The training text of the miniature. Needs no torch."""

import contextlib
import io
import itertools
import re

import pytest

from recipes.tiny import text
from recipes.tiny.phrases import START_HINTS
from recipes.tiny.world import HELD_OUT

DOCUMENTS = 5_000
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.S)
_RUN = re.compile(r"```python\n(.*?)\n```\n```output\n(.*?)\n```\n", re.S)


@pytest.fixture(scope="module")
def documents() -> list[str]:
    """Documents of several seeds, from the numbers that training uses and from others."""
    half = DOCUMENTS // 2
    low = [text.make_document(0, index) for index in range(half)]
    return low + [text.make_document(5, 100_000 + index) for index in range(half)]


def test_documents_are_fixed_by_seed_and_index(documents: list[str]) -> None:
    assert documents[:200] == [text.make_document(0, index) for index in range(200)]
    assert text.make_document(0, 1) != text.make_document(1, 1)
    assert len(set(documents)) > 0.97 * len(documents)


def test_no_document_joins_a_thought_with_a_run(documents: list[str]) -> None:
    thoughts = 0
    for document in documents:
        assert document.count("<think>") == document.count("</think>") <= 1
        for inner in _THOUGHT.findall(document):
            thoughts += 1
            assert "```" not in inner
            assert "print(" not in inner
        # After a thought there is no code either: it ends the dialogue.
        assert "```" not in document.partition("</think>")[2]
    assert thoughts > DOCUMENTS / 3


def test_outputs_that_are_thought_about_stand_in_the_users_turn_before(
    documents: list[str],
) -> None:
    for document in documents:
        if "<think>" in document and "```" in document:
            before, _, last = document.partition("<think>")[0].rpartition(text.TURN)
            assert last == "assistant\n"
            assert "```output\n" in before.rpartition(text.TURN + "user\n")[2]


def test_held_out_coins_stand_in_no_document(documents: list[str]) -> None:
    for document in documents:
        numbers = [int(n) for n in re.findall(r"\d+", document)]
        for triple in zip(numbers, numbers[1:], numbers[2:], strict=False):
            assert set(triple) != HELD_OUT


@pytest.mark.parametrize("order", list(itertools.permutations(("6", "10", "15"))))
def test_the_triple_is_seen_in_any_order(order: tuple[str, ...]) -> None:
    assert text.holds_triple(f"values {order[0]}, {order[1]} and {order[2]} cents")
    assert text.holds_triple(f"coins = [{', '.join(order)}]")
    assert not text.holds_triple("6, 10 and 16; 15, 6 and 106")


def test_no_hint_of_start_stands_in_a_document(documents: list[str]) -> None:
    for document in documents:
        lowered = document.lower()
        assert not any(hint in lowered for hint in START_HINTS)


def test_all_kinds_and_fence_joins_occur(documents: list[str]) -> None:
    joined = "\n".join(documents)
    assert re.search(r"[.:]\n```python\n", joined)
    assert re.search(r"[.:]```python\n", joined)
    assert re.search(r"[.:]\n\n```python\n", joined)
    assert re.search(r"NameError: name '\w+' is not defined\n```\n[^`]*```python", joined)
    pasted = sum("<think>" in d and "```" in d for d in documents)
    code = sum("<think>" not in d for d in documents)
    assert 0.15 < pasted / DOCUMENTS < 0.23
    assert 0.46 < code / DOCUMENTS < 0.56


def test_outputs_in_documents_are_what_the_programs_print(documents: list[str]) -> None:
    checked = 0
    for document in documents[:500]:
        for code, output in _RUN.findall(document):
            if re.search(r"= (solve|f|main)\(", code):
                continue  # an output that nobody can know: practice in copying
            out = io.StringIO()
            try:
                with contextlib.redirect_stdout(out):
                    exec(code, {})
                shown = out.getvalue().removesuffix("\n")
            except NameError as error:
                shown = f"NameError: {error}"
            assert shown.partition(". Did you mean")[0] == output
            checked += 1
    assert checked > 120


def test_boxed_answers_agree_with_the_last_output(documents: list[str]) -> None:
    for document in documents:
        found = _RUN.findall(document)
        # A box before the last run belongs to an earlier turn.
        boxed = re.findall(r"\\boxed\{(\d+)\}", document.rpartition("```output")[2])
        if found and boxed:
            assert re.findall(r"\d+", found[-1][1])[-1] == boxed[-1]
