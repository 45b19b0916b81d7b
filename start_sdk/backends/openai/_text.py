"""Prompts for servers whose tokenizer is not known: the server renders them, or nobody does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._http import Connection, Json, ServerError
from start_sdk.backends._rendering import check_rendered, template_options
from start_sdk.errors import ModelError
from start_sdk.protocols import Message

_NAMES = {"system": "{}", "user": "Question: {}", "assistant": "Answer: {}"}
_PROBE = [Message(role="user", content="What is 2 + 2?")]


class PlainTokenizer(CharTokenizer):
    """Characters for ids, and prompts as a base model reads them: a question, then its answer."""

    def __init__(self) -> None:
        super().__init__(thinks=False)

    @property
    def chat_template(self) -> str | None:
        return None

    def render(
        self, messages: Sequence[Message], template: Mapping[str, Any] | None = None
    ) -> list[int]:
        template_options(self.chat_template, template)
        turns = [_NAMES.get(m["role"], "{}").format(m["content"].strip()) for m in messages]
        return self.encode("\n\n".join([*turns, "Answer:"]))


class ServerRendered(PlainTokenizer):
    """Characters for ids, and prompts that the server makes with its own chat template.

    Args:
        server: the connection to it.
        model: its name there.

    Raises:
        ServerError: the server cannot render.
    """

    def __init__(self, server: Connection, model: str) -> None:
        super().__init__()
        self._server = server
        self._model = model
        self._template: str | None = None
        self._ways = [self._by_template, self._by_tokens]
        try:
            self._by_template(_PROBE, {})
            self._template = _text(server.ask("GET", "/props").get("chat_template"))
        except ServerError:
            self._by_tokens(_PROBE, {})
            self._ways.reverse()

    @property
    def chat_template(self) -> str | None:
        return self._template

    def render(
        self, messages: Sequence[Message], template: Mapping[str, Any] | None = None
    ) -> list[int]:
        options = template_options(self.chat_template, template)
        try:
            text = self._ways[0](messages, options)
        except ServerError as error:
            if error.status is None or error.transient:
                raise
            raise ModelError(
                f"the chat template rejects these messages: {error.message}"
            ) from error
        check_rendered([dict(m) for m in messages], text)
        return self.encode(text)

    def _by_template(self, messages: Sequence[Message], options: Json) -> str:
        """The way of llama.cpp."""
        body = {"messages": list(messages), "chat_template_kwargs": options}
        return self._expected(self._server.ask("POST", "/apply-template", body), "prompt")

    def _by_tokens(self, messages: Sequence[Message], options: Json) -> str:
        """The way of vLLM: it encodes the conversation, and decodes the ids."""
        body = {"model": self._model, "messages": list(messages), "add_generation_prompt": True,
            "chat_template_kwargs": options}  # fmt: skip
        ids = self._server.ask("POST", "/tokenize", body).get("tokens")
        if not isinstance(ids, list):
            raise self._server.error("cannot render a conversation")
        answer = self._server.ask("POST", "/detokenize", {"model": self._model, "tokens": ids})
        return self._expected(answer, "prompt")

    def _expected(self, answer: Json, name: str) -> str:
        text = _text(answer.get(name))
        if text is None:
            raise self._server.error("cannot render a conversation")
        return text


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
