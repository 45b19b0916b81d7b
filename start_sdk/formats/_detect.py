"""Finds out how a model writes, from its chat template, its tokens and a rendered prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from start_sdk._text.tags import TAGS
from start_sdk.errors import ModelError
from start_sdk.formats._format import PLAIN, ReasoningFormat
from start_sdk.protocols import Message, Tokenizer

CHANNELS = ("<|channel|>", "<|message|>")
"""Tokens of the harmony format (gpt-oss)."""


def detect(tokenizer: Tokenizer, options: Mapping[str, Any] | None = None) -> ReasoningFormat:
    """How a model writes.

    Args:
        tokenizer: the model's.
        options: of its chat template (`Tokenizer.render`), which may switch thinking off.

    A model thinks in tags if its prompt ends with one of them or its chat template knows them. That
    its vocabulary has a token for a tag says nothing: models that do not think share it.

    Raises:
        ModelError: the model writes in a way that sessions cannot continue, or its template renders
            no question.
    """
    template = tokenizer.chat_template or ""
    if CHANNELS[0] in template and all(_is_token(tokenizer, token) for token in CHANNELS):
        raise ModelError(
            "the model writes in harmony channels (gpt-oss), which sessions cannot continue: its "
            "calls are messages to a tool, not code in a thought"
        )
    ids = tokenizer.render([Message(role="user", content="?")], options)
    prompt = tokenizer.decode(ids).rstrip()
    found = next((tags for tags in TAGS if prompt.endswith(tags)), None)
    found = found or next((tags for tags in TAGS if tags[1] in template), None)
    if found is None:
        return PLAIN
    return ReasoningFormat(think=found, tag_is_token=_is_token(tokenizer, found[1]))


def _is_token(tokenizer: Tokenizer, text: str) -> bool:
    """Whether a text is one added token. A whole word of the vocabulary is ordinary text."""
    ids = tokenizer.encode(text, control=True)
    return len(ids) == 1 and ids[0] in tokenizer.control_ids
