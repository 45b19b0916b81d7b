"""Text and JSON that can be written to a file, whatever a cell or a caller made."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from start_sdk import ToolCall
from start_sdk._text.unicode import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é 😀 \x00", "é 😀 \x00"),
        ("a\ud83db", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),  # both halves, one after the other
    ],
)
def test_lone_surrogates_are_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_tool_call_with_surrogates_can_be_saved() -> None:
    arguments: dict[str, JsonValue] = {"\ud83d": ["\ud83d", {"a": "\udc00"}], "n": 1}
    call = ToolCall(name="f", arguments=arguments, result="\udc00", message="\udc00")
    assert ToolCall.model_validate_json(call.model_dump_json()) == call
    assert call.arguments == {"\ufffd": ["\ufffd", {"a": "\ufffd"}], "n": 1}
