"""How model families write: joiners, outputs, ends of thoughts, tools. The reader: `tests/text`."""

from __future__ import annotations

import pytest

from start_sdk._text.events import Event
from start_sdk.formats import PLAIN, THINK, Join, ReasoningFormat, in_block
from start_sdk.protocols import Message
from start_sdk.tools import tool


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```python\nx", True),
        ("idea.\n```python", True),
        ("```python\nx\n```\n", False),
        ("```python\nx\n```", True),  # the line may go on: "``` and more" closes nothing
        ("```\nx", True),
        ("a ``` b", False),
        ("", False),
    ],
)
def test_a_text_may_end_inside_a_block(text: str, inside: bool) -> None:
    assert in_block(text) == inside


@pytest.mark.parametrize(
    ("event", "runs"),
    [
        (Event("block", 9, 9, "python", "x\n"), True),
        (Event("block", 9, 9, "py", "x\n", hinted=True), True),
        (Event("block", 9, 9, "python", " \n"), False),
        (Event("block", 9, 9, "c", "x\n"), False),
        (Event("block", 9, 9, "", "x\n"), False),
        (Event("trigger", 9, 9, "python"), False),
    ],
)
def test_a_block_of_python_that_is_not_empty_is_run(event: Event, runs: bool) -> None:
    assert THINK.runs(event) is runs


@pytest.mark.parametrize(
    ("tail", "join", "joiner"),
    [
        ("so Wait", "connective", ", "),
        ("so Wait,", "connective", " "),
        ("so Wait, ", "connective", ""),
        ("Wait...", "connective", " "),
        ("等等", "connective", "，"),
        ("等等，", "connective", ""),
        ("", "connective", ""),
        ("It is 5.", "paragraph", "\n\n"),
        ("It is 5.\n", "paragraph", "\n"),
        ("It is 5.\n\n", "paragraph", ""),
        ("", "paragraph", ""),
        ("\n", "paragraph", ""),
        ("```", "line", "\n"),
        ("```\n", "line", ""),
        ("", "line", ""),
    ],
)
def test_joiners(tail: str, join: Join, joiner: str) -> None:
    assert ReasoningFormat.joiner(tail, join) == joiner


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("84", "```output\n84\n```\n"),
        ("", "```output\n(no output)\n```\n"),
        (" \n", "```output\n(no output)\n```\n"),
        ("a\n```\nb", "````output\na\n```\nb\n````\n"),
        ("`````", "``````output\n`````\n``````\n"),
        ("x `` y", "```output\nx `` y\n```\n"),
    ],
)
def test_an_output_is_shown_in_a_fence_longer_than_any_in_it(text: str, shown: str) -> None:
    assert ReasoningFormat.show_output(text) == shown


def test_a_thought_begins_and_ends_with_tags() -> None:
    assert THINK.end_tag == "</think>" and THINK.closing() == "</think>\n\n"
    assert THINK.thinks_after("<think>\n") and not THINK.thinks_after("<think>\n\n</think>\n\n")
    assert THINK.opened("<think>\n", "") and not THINK.opened("assistant\n", "<think>")
    assert THINK.opened("assistant\n", "<think>\n")


def test_a_model_without_tags_opens_its_answer_with_a_marker() -> None:
    assert PLAIN.thinks_after("anything") and PLAIN.opened("anything", "")
    assert PLAIN.answer_markers == ("**Final Answer**", "\\boxed") and PLAIN.end_tag == ""
    assert PLAIN.closing() == "**Final Answer**\n\n"


def test_a_format_without_tags_needs_answer_markers() -> None:
    with pytest.raises(ValueError, match="needs answer_markers, or no thought ever ends"):
        ReasoningFormat(name="plain", think=None)


@tool
def total(numbers: list[int]) -> int:
    """Adds numbers.

    More about it.
    """
    return sum(numbers)


USER = Message(role="user", content="What is 2 + 2?")


@pytest.mark.parametrize("first", ["system", "user"])
def test_tools_are_described_in_the_first_message_that_takes_them(first: str) -> None:
    messages = [USER] if first == "user" else [Message(role="system", content="Be brief."), USER]
    described = ReasoningFormat.describe_tools(messages, [total])
    text = described[0]["content"]
    assert 'def total(numbers: list[int]) -> int:\n    """Adds numbers."""\n```' in text
    assert text.startswith("Be brief.") if first == "system" else text.endswith("What is 2 + 2?")
    assert described[1:] == messages[1:] and messages[-1] == USER  # the caller's are left alone


def test_without_tools_a_conversation_stays_as_it_is() -> None:
    assert ReasoningFormat.describe_tools([USER], []) == [USER]
