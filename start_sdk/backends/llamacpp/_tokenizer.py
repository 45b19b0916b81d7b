"""A tokenizer that asks the server to encode, and decodes by itself."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from start_sdk._text.unicode import printable
from start_sdk.backends._http import ServerError
from start_sdk.backends._rendering import Marks, check_rendered, hide, split, template_options
from start_sdk.backends.llamacpp._vocabulary import Ask, Vocabulary, encoded
from start_sdk.errors import ModelError
from start_sdk.protocols import Message

_SENTINEL = "\n"
_KEPT = 256
"""Encodings that are remembered: hints are inserted, and traces verified, again and again."""


class ServerTokenizer:
    """A `Tokenizer` over llama.cpp's server. Each encoding is one request, which blocks.

    Args:
        ask: see `Ask`.
        vocabulary: the server's.
        chat_template: as the server reports it; the server runs it.
    """

    def __init__(self, ask: Ask, vocabulary: Vocabulary, chat_template: str) -> None:
        self._ask = ask
        self._vocabulary = vocabulary
        self._chat_template = chat_template
        self._remembered = lru_cache(_KEPT)(self._encoded)
        # SentencePiece tokenizers prepend a space to a text, so encoded pieces cannot simply be
        # concatenated: they need context.
        x = encoded(ask, ["x"])
        self._concatenates = self.decode([*x, *x]) == "xx"

    @property
    def eos_ids(self) -> frozenset[int]:
        return self._vocabulary.eos_ids

    @property
    def control_ids(self) -> frozenset[int]:
        return self._vocabulary.control_ids

    @property
    def chat_template(self) -> str | None:
        return self._chat_template or None

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        return list(self._remembered(printable(text), control))

    def decode(self, token_ids: Sequence[int]) -> str:
        return self._bytes(token_ids).decode(errors="replace")

    def stream(self, prefix_ids: Sequence[int]) -> Callable[[int], str]:
        """See `Tokenizer.stream`. Text comes once no byte is left over, so that a character never
        shares a token with the next one; what a prefix ends with is settled."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        held = ""

        def step(token_id: int) -> str:
            nonlocal held
            held += decoder.decode(self._bytes([token_id]))
            whole, held = ("", held) if decoder.getstate()[0] else (held, "")
            return whole

        return step

    def render(
        self, messages: Sequence[Message], template: Mapping[str, Any] | None = None
    ) -> list[int]:
        options = template_options(self.chat_template, template)
        inert, marks = hide(messages, self._vocabulary.control_text)
        try:
            answer = self._ask(
                "/apply-template", {"messages": inert, "chat_template_kwargs": options}
            )
            text = str(answer["prompt"])
        except ServerError as error:
            if error.status is None or error.transient:
                raise
            raise ModelError(
                f"the chat template rejects these messages: {error.message}"
            ) from error
        check_rendered(inert, text)
        return self._without_marks(text, marks)

    def _without_marks(self, text: str, marks: Marks) -> list[int]:
        """The ids of a rendered conversation. The server puts a token that begins a text back in
        front, if the model has one: it removed that from what the template wrote."""
        first, *rest = split(text, marks)
        if self._concatenates:  # all in one request: a tag in two parts is not recognised
            parts = [first]
            for part in rest:
                control_text = self._vocabulary.control_text
                parts += _cut(marks[part], control_text) if part in marks else [part]
            return encoded(self._ask, parts, parse_special=True, begins=True)
        ids = encoded(self._ask, [first], parse_special=True, begins=True)
        for part in rest:
            ids += self.encode(marks.get(part, part), control=part not in marks)
        return ids

    def _encoded(self, text: str, control: bool) -> tuple[int, ...]:
        parts: Sequence[str | int] = (
            self._with_tags(text) if control else _cut(text, self._vocabulary.eager_text)
        )
        if self._concatenates:
            return tuple(encoded(self._ask, parts))
        ids: list[int] = []
        for part in parts:
            ids += [part] if isinstance(part, int) else self._in_context(part)
        return tuple(ids)

    def _with_tags(self, text: str) -> list[str | int]:
        """A text with ids in place of its tags: what stands beside a tag stays as it is."""
        vocabulary = self._vocabulary
        parts: list[str | int] = []
        end = 0
        for match in vocabulary.control_text.finditer(text):
            parts += [text[end : match.start()], vocabulary.tags[match[0]]]
            end = match.end()
        return [*parts, text[end:]]

    def _in_context(self, text: str) -> list[int]:
        if not text:
            return []
        return encoded(self._ask, [_SENTINEL + text])[len(encoded(self._ask, [_SENTINEL])) :]

    def _bytes(self, token_ids: Sequence[int]) -> bytes:
        pieces = self._vocabulary.pieces
        try:
            return b"".join([pieces[i] for i in token_ids])
        except KeyError as error:
            raise IndexError(f"no token has the id {error}") from None


def _cut(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Parts of a text in none of which a pattern finds anything: matches are cut in two."""
    parts: list[str] = []
    start = 0
    while match := pattern.search(text, start):
        parts.append(text[start : match.start() + 1])
        start = match.start() + 1
    return [*parts, text[start:]]
