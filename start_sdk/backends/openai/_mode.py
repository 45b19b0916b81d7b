"""Which mode a server and its model are used in, and with which tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._http import ServerError
from start_sdk.backends.openai._chat import Way
from start_sdk.backends.openai._fields import Fields
from start_sdk.backends.openai._server import Chat, Completions, Served, Server
from start_sdk.backends.openai._text import PlainTokenizer, ServerRendered
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.errors import MissingExtra, ModelError
from start_sdk.protocols import Tokenizer

Mode = Literal["tokens", "text", "chat"]
MODES: tuple[Mode, ...] = ("tokens", "text", "chat")


@dataclass(frozen=True, slots=True)
class Settled:
    """How a model is used.

    Attributes:
        mode: one of the three.
        tokenizer: the model's, or one whose ids are characters.
        note: says in one line what follows from the mode.
        logprobs: whether the server returns log probabilities.
        can_continue: whether the text so far can be continued.
        way: of continuing a chat.
    """

    mode: Mode
    tokenizer: Tokenizer
    note: str
    logprobs: bool = False
    can_continue: bool = True
    way: Way | None = None


def settle(
    server: Server, served: Served, tokenizer: str | None, mode: Mode | None, fields: Fields
) -> Settled:
    """Asks the server what it can do, and chooses the mode that can do most, unless one is given.

    Raises:
        ModelError: the server cannot do what is wanted, or the tokenizer is not found or not the
            model's.
    """
    return _Choice(server, served, tokenizer, fields).settle(mode)


class _Choice:
    def __init__(
        self, server: Server, served: Served, tokenizer: str | None, fields: Fields
    ) -> None:
        self._server, self._served, self._fields = server, served, fields
        self._url = server.connection.url
        self._named = tokenizer
        self._why = ""  # there is no tokenizer

    def settle(self, mode: Mode | None) -> Settled:
        if mode == "chat":
            return self._chat(self._asked_chat())
        found = self._server.completions(self._served.id)
        if mode and found is None:
            raise ModelError(f"{self._url} has no completions endpoint: try mode='chat'")
        tokenizer = self._tokenizer(found, required=mode == "tokens")
        if found and found.ids is not None and tokenizer and mode != "text":
            self._server.check_tokenizer(self._served.id, found.ids, tokenizer)
            note = "token ids over HTTP; noise per request, not per position"
            return Settled("tokens", tokenizer, note, logprobs=found.logprobs)
        if mode == "tokens":
            raise ModelError(f"{self._url} does not return token ids: try mode='text'")
        if found and tokenizer:
            if self._named:
                self._server.check_encoding(self._served.id, tokenizer)
            note = "text over HTTP: ids are an encoding of it; seeds and defaults are the server's"
            return Settled("text", tokenizer, note)
        return self._without_tokenizer(found, mode)

    def _without_tokenizer(self, found: Completions | None, mode: Mode | None) -> Settled:
        """A prompt that the server renders is best; a chat that it continues is as good."""
        if found and (rendered := self._rendered()):
            return self._text(rendered, "the server renders the prompts")
        chat = None if mode else self._server.chat(self._served.id, self._fields)
        if found and not (chat and (chat.way or not mode)):
            plain = "prompts are plain questions: no chat template is known"
            return self._text(PlainTokenizer(), plain)
        if chat is None:
            raise ModelError(f"{self._url} has neither completions nor chats: is it a model's?")
        return self._chat(chat)

    def _text(self, tokenizer: Tokenizer, how: str) -> Settled:
        tip = "exact ids need tokenizer=; " if self._why else ""
        return Settled("text", tokenizer, f"text over HTTP: ids are characters; {tip}{how}")

    def _chat(self, chat: Chat) -> Settled:
        tokenizer = CharTokenizer(opens_thought=False, thinks=chat.thinks or chat.way is None)
        tip = " (exact ids need tokenizer=)" if self._why else ""
        note = "chat over HTTP: ids are characters" + tip
        if chat.way:
            note += f"; it continues messages ({chat.way})"
        else:
            note += (
                "; it cannot continue messages: no code runs and no hint is inserted in a thought, "
                "which needs mode text or tokens"
            )
        return Settled("chat", tokenizer, note, can_continue=bool(chat.way), way=chat.way)

    def _asked_chat(self) -> Chat:
        chat = self._server.chat(self._served.id, self._fields)
        if chat is None:
            raise ModelError(f"{self._url} has no chat endpoint: try mode='text'")
        return chat

    def _tokenizer(self, found: Completions | None, *, required: bool) -> Tokenizer | None:
        """The model's tokenizer; None if it is not at hand and need not be."""
        if found is None:
            return None
        try:
            return load_tokenizer(self._named or self._served.root)
        except (ModelError, MissingExtra) as error:
            if self._named:
                raise
            if required:
                raise ModelError(f"{error}; pass tokenizer=, or mode='chat'") from error
            self._why = str(error) if found.ids is not None else ""
            return None

    def _rendered(self) -> Tokenizer | None:
        try:
            return ServerRendered(self._server.connection, self._served.id)
        except ServerError:
            return None
