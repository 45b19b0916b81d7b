"""What a server can do, found out by asking it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

from start_sdk.backends._failures import once_loaded
from start_sdk.backends._http import Connection, Json, ServerError
from start_sdk.backends.openai._chat import OPEN, WAYS, ChatReader, Way, conversation
from start_sdk.backends.openai._fields import Fields
from start_sdk.errors import ModelError
from start_sdk.protocols import Message, Tokenizer

MISSING = (404, 405, 410, 501)
"""Status codes of an endpoint that a server does not have."""
SAMPLE = "Wait, 12 * 7 = 84."
"""A text that most tokenizers cut into about ten tokens."""
VARIED = "Ünïcode 日本語 🙂: f(x_1) = 1234567 ** 2;\n\t```python\n"
"""A text whose number of tokens differs from tokenizer to tokenizer."""
LISTED = 12
"""Models that a message lists."""

# A server that continues the assistant's message starts with a comma, which no new turn does.
_BEGUN = "one, two, three, four"
_HELLO = [Message(role="user", content="Write these words: one, two, three, four, five, six")]
_LENGTHS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx",
    "n_ctx_train")  # fmt: skip
"""Names that servers give to a model's context length, in tokens."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model as a server lists it."""

    id: str
    root: str
    """Where the server loaded it from: a folder on the server, or a hub id."""
    max_context: int | None


@dataclass(frozen=True, slots=True)
class Completions:
    """What `/completions` can do."""

    ids: Sequence[int] | None
    """Those of `SAMPLE`, if it returns ids, and the prompt's as well; else None or empty."""
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    text: str
    prompt_tokens: int | None


@dataclass(frozen=True, slots=True)
class Chat:
    """What `/chat/completions` can do."""

    thinks: bool
    """Whether the server separates thoughts from answers; True if unknown."""
    way: Way | None
    """Of continuing the assistant's message; None if there is none."""


class Server:
    """An OpenAI-compatible server.

    Args:
        connection: to it.

    Attributes:
        api: what comes before the endpoints' paths: "/v1", or "" if the address has all of it.

    Raises:
        ModelError: as `find`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.api = "/v1"
        self._ask = partial(once_loaded, connection.ask)

    def find(self, model: str | None) -> Served:
        """The served model of that name; without a name, the only one served.

        Raises:
            ModelError: the server does not answer or rejects the key, or the model is not served.
        """
        try:
            found = self._listed()
        except ServerError as error:
            if error.status not in MISSING:
                raise ModelError(str(error)) from error
            if model:  # some gateways list no models
                return Served(model, model, None)
            raise ModelError(
                f"{self.connection.url} answers but has no list of models: "
                "does the address end in /v1?"
            ) from error
        names = [served.id for served in found]
        if model is None:
            if len(found) == 1:
                return found[0]
            raise ModelError(
                f"{self.connection.url} serves {len(found)} models ({_some(names)}): name one of "
                "them"
            )
        chosen = next((s for s in found if s.id in (model, f"{model}:latest")), None)
        if chosen is None:
            near = get_close_matches(model, names, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise ModelError(
                f"{self.connection.url} does not serve {model!r}: {meant}it serves {_some(names)}"
            )
        return chosen

    def _listed(self) -> list[Served]:
        try:
            answer = self._ask("GET", "/v1/models")
        except ServerError as error:
            if self.connection.root != self.connection.url or error.transient:
                raise
            try:  # the address has a version of its own
                answer = self._ask("GET", "/models")
            except ServerError:
                raise error from None
            self.api = ""
        cards = answer.get("data") or answer.get("models") or []
        if not isinstance(cards, list):
            cards = []
        return [_served(c) for c in cards if isinstance(c, dict) and isinstance(c.get("id"), str)]

    def completions(self, model: str) -> Completions | None:
        """Asks for two tokens; None if there is no such endpoint.

        Raises:
            ModelError: the server does not answer, or with an error.
        """
        body = {"model": model, "prompt": SAMPLE, "max_tokens": 2, "temperature": 0}
        more = {"return_token_ids": True, "add_special_tokens": False, "logprobs": 0}
        path = f"{self.api}/completions"
        try:
            try:
                answer = self._ask("POST", path, {**body, **more})
            except ServerError as error:
                if error.status not in (400, 422):
                    raise
                answer = self._ask("POST", path, body)  # it rejects unknown fields
        except ServerError as error:
            if error.status in MISSING or error.status in (400, 422):
                return None
            raise ModelError(str(error)) from error
        choice = _first(answer)
        if choice is None or choice.get("text") is None:
            return None
        if not isinstance(choice.get("token_ids"), list):
            return Completions(None)
        values: Any = choice.get("logprobs") or {}
        sent = values.get("token_logprobs") if isinstance(values, dict) else None
        return Completions(choice.get("prompt_token_ids") or (), bool(sent))

    def check_tokenizer(self, model: str, ids: Sequence[int], tokenizer: Tokenizer) -> None:
        """Raises ModelError if the server's ids do not mean the same to a tokenizer."""
        try:
            text = tokenizer.decode(list(ids) or tokenizer.encode(SAMPLE))
        except (LookupError, TypeError, ValueError, OverflowError):  # no ids, or not of this one
            text = ""
        if SAMPLE not in text:  # a server may put a token in front
            raise self._different(model)

    def check_encoding(self, model: str, tokenizer: Tokenizer) -> None:
        """Raises ModelError if the server encodes texts in another way than a tokenizer. Where it
        does not say how it does, nothing is checked."""
        if ids := self._encoded(model):
            self.check_tokenizer(model, ids, tokenizer)
            return
        texts = [SAMPLE, VARIED + SAMPLE]  # the difference is without what a server prepends
        short, long = (self._length(model, text) for text in texts)
        if short and long and short < long:
            ours = [len(tokenizer.encode(text)) for text in texts]
            if long - short != ours[1] - ours[0]:
                raise self._different(model)

    def _encoded(self, model: str) -> list[int] | None:
        """The server's ids of `SAMPLE`; None if it does not say."""
        # vLLM reads the prompt, llama.cpp the content.
        body = {"prompt": SAMPLE, "content": SAMPLE, "add_special_tokens": False}
        with suppress(ServerError):
            ids = self._ask("POST", "/tokenize", {"model": model, **body}).get("tokens")
            return ids if isinstance(ids, list) else None
        return None

    def _length(self, model: str, text: str) -> int | None:
        """Tokens of a prompt, as the server counts them; None if it does not say."""
        body = {"model": model, "prompt": text, "max_tokens": 1, "temperature": 0}
        with suppress(ServerError):
            return _prompt_tokens(self._ask("POST", f"{self.api}/completions", body))
        return None

    def _different(self, model: str) -> ModelError:
        where = f"{model!r} at {self.connection.url}"
        return ModelError(f"{where} uses a different tokenizer: set it with tokenizer=")

    def chat(self, model: str, fields: Fields) -> Chat | None:
        """Asks for two tokens of a chat, and in which way it is continued, if it is at all.

        None if there is no such endpoint. What else goes wrong leaves unknown what it can do.
        """
        first = self._chat(model, fields, "", None)
        if isinstance(first, ServerError):
            return None if first.status in MISSING else Chat(thinks=True, way=None)
        thinks = "<think>" in first.text
        begun = OPEN + _BEGUN if thinks else _BEGUN
        lengths: dict[Way, int | None] = {}
        for way in WAYS:
            said = self._chat(model, fields, begun, way)
            if isinstance(said, ServerError):
                continue
            if _continued(said.text, begun):
                return Chat(thinks, way)
            lengths[way] = said.prompt_tokens
        # Small models write something else. A prompt without the new turn is shorter.
        asked, unasked = lengths.get("continue_final_message"), lengths.get("prefill")
        shorter = asked is not None and unasked is not None and asked < unasked
        return Chat(thinks, "continue_final_message" if shorter else None)

    def _chat(
        self, model: str, fields: Fields, written: str, way: Way | None
    ) -> _Said | ServerError:
        """The beginning of what a chat says."""
        body: Json = {
            "model": model,
            **conversation(_HELLO, written, way),
            "max_tokens": 2,
            "temperature": 0,
            "top_p": 0.95,
            "seed": 0,
        }
        while True:  # ends: each error leaves out another field
            try:
                answer = self._ask("POST", f"{self.api}/chat/completions", fields.fit(body))
                text = ChatReader(written, separate=False).read(_first(answer) or {})
                return _Said(text, _prompt_tokens(answer))
            except ValueError as error:
                return self.connection.error(f"did not follow the protocol: {error}")
            except ServerError as error:
                if not fields.learn(error, body):
                    return error


def _continued(said: str, begun: str) -> bool:
    """Whether an answer continues a text. llama.cpp repeats it first, though not in streams; then
    two tokens are too few for a new turn."""
    rest = said.removeprefix(begun).removeprefix(_BEGUN)
    return rest.lstrip().startswith(",") and (rest == said or len(rest) < len(", five, "))


def _first(answer: Json) -> Json | None:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def _prompt_tokens(answer: Json) -> int | None:
    usage: Any = answer.get("usage")
    found = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return found if isinstance(found, int) else None


def _served(card: Json) -> Served:
    meta = card.get("meta") if isinstance(card.get("meta"), dict) else {}
    lengths = [source.get(name) for source in (card, meta or {}) for name in _LENGTHS]
    length = next((n for n in lengths if isinstance(n, int) and n > 0), None)
    return Served(card["id"], str(card.get("root") or card["id"]), length)


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (", ".join(names[:LISTED]) or "none") + more
