"""Queries about a server and its models, and its errors as one line each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    NotFoundError,
    OpenAI,
    OpenAIError,
    Timeout,
)

from start_sdk.errors import BackendError, ModelError
from start_sdk.protocols import Tokenizer

NO_KEY = "no-key"
"""Sent to servers that need no key; the client library requires one."""

TRANSIENT = {408, 409, 425, 429}
"""Status codes, besides all from 500, that are worth a retry."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model as a server lists it."""

    id: str
    root: str
    """Where the server loaded it from: a folder on the server, or a hub id."""
    max_context: int | None


class Server:
    """An OpenAI-compatible server: its address, its key, and a sync and an async client.

    Raises:
        ModelError: the address is not valid.
    """

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ModelError(f"{url!r} is not a valid address such as http://localhost:8000/v1")
        if "@" in parts.netloc:  # it would appear in logs and errors
            raise ModelError("the address contains a password: pass api_key= instead")
        self.url = url.rstrip("/")
        self._key = api_key or os.environ.get("OPENAI_API_KEY") or NO_KEY
        options: dict[str, Any] = {
            "base_url": url,
            "api_key": self._key,
            "timeout": Timeout(timeout, connect=min(timeout, 10.0)),
            "max_retries": 0,  # the backend retries: it knows which tokens have arrived
        }
        self.client = AsyncOpenAI(**options)
        self._options = options

    def find(self, model: str | None) -> Served:
        """The served model of that name; without a name, the only one served.

        Raises:
            ModelError: the server does not answer or rejects the key, or the model is not served.
        """
        with OpenAI(**self._options) as client:
            try:
                listed = client.models.list().data or []
                found = [_served(m) for m in listed]
            except NotFoundError as error:
                raise ModelError(
                    f"{self.url} answers but has no list of models: does the address end in /v1?"
                ) from error
            except (OpenAIError, ValueError, TypeError, AttributeError) as error:
                raise ModelError(self.explain(error)) from error
        names = ", ".join(s.id for s in found) or "none"
        if model is None and len(found) != 1:
            raise ModelError(f"{self.url} serves {len(found)} models ({names}): name one of them")
        chosen = next((s for s in found if model in (None, s.id)), None)
        if chosen is None:
            raise ModelError(f"{self.url} does not serve {model!r}; it serves {names}")
        return chosen

    def returns_ids(self, model: str, tokenizer: Tokenizer) -> bool:
        """Whether the server returns token ids, tested with a short prompt and one token.

        Raises:
            ModelError: it has no completions endpoint, or its ids do not match this tokenizer.
        """
        text = "Wait, 12 * 7 = 84."
        extra = {"return_token_ids": True, "add_special_tokens": False}
        with OpenAI(**self._options) as client:
            try:
                done = client.completions.create(
                    model=model, prompt=text, max_tokens=1, extra_body=extra
                )
                choice: Any = done.choices[0]
            except NotFoundError as error:
                raise ModelError(
                    f"{self.url} has no completions endpoint: try mode='chat'"
                ) from error
            except APIStatusError as error:
                if error.status_code in (400, 422):
                    return False  # it rejects unknown fields
                raise ModelError(self.explain(error)) from error
            except (OpenAIError, ValueError, LookupError, TypeError) as error:
                raise ModelError(self.explain(error)) from error
        if getattr(choice, "token_ids", None) is None:
            return False
        read = getattr(choice, "prompt_token_ids", None) or tokenizer.encode(text)
        if tokenizer.decode(read).strip() != text:
            raise ModelError(
                f"{model!r} at {self.url} uses a different tokenizer: set it with tokenizer="
            )
        return True

    async def reset_cache(self) -> None:
        """Raises BackendError if the server does not support it."""
        root = self.url.removesuffix("/v1")
        try:
            await self.client.post(f"{root}/reset_prefix_cache", cast_to=object)
        except OpenAIError as error:
            raise BackendError(f"the cache cannot be reset: {self.explain(error)}") from error

    def explain(self, error: Exception) -> str:
        """One line on what went wrong, without the key, even if the server repeats it."""
        if isinstance(error, APITimeoutError):
            why = "did not answer in time"
        elif isinstance(error, APIConnectionError):
            cause = error.__cause__
            why = f"cannot be reached: {cause or error}"
        elif isinstance(error, APIStatusError) and error.status_code in (401, 403):
            why = "rejects the API key: set OPENAI_API_KEY, or pass api_key="
        elif isinstance(error, APIStatusError):
            why = f"answered {error.status_code}: {error.message}"
        elif isinstance(error, APIError):
            why = f"failed: {error.message}"
        else:
            why = f"did not follow the protocol: {type(error).__name__}: {error}"
        line = " ".join(f"{self.url} {why}".split())[:400]
        return line if self._key == NO_KEY else line.replace(self._key, "***")


def is_transient(error: BaseException) -> bool:
    """Whether a retry may help: a lost or refused connection, a busy or failing server."""
    if isinstance(error, APIStatusError):
        return error.status_code in TRANSIENT or error.status_code >= 500
    return isinstance(error, APIError)


def _served(model: Any) -> Served:
    length = getattr(model, "max_model_len", None)
    root = getattr(model, "root", None) or model.id
    return Served(str(model.id), str(root), int(length) if length else None)
