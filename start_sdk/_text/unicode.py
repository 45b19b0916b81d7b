"""Text that every encoding knows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, JsonValue


def printable(text: str) -> str:
    """A text with U+FFFD in place of lone surrogates, which no encoding knows."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def printable_json(value: JsonValue) -> JsonValue:
    """A JSON value with `printable` texts and keys."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [printable_json(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): printable_json(item) for key, item in value.items()}
    return value


Text = Annotated[str, AfterValidator(printable)]
Json = Annotated[JsonValue, AfterValidator(printable_json)]
Message = dict[str, Annotated[Any, AfterValidator(printable_json)]]
"""Fields that can be written to a file, whatever a cell or a caller made."""
