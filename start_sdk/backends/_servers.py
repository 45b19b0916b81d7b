"""Finds out by asking which kind of server an address is, and opens the backend for it."""

from __future__ import annotations

from typing import Any, Literal

from start_sdk import plugins
from start_sdk.backends._address import address_of, is_address, key_of
from start_sdk.backends._options import checked_options
from start_sdk.errors import ConfigError, MissingExtra, ModelError
from start_sdk.protocols import Backend

PATIENCE = 10.0
"""Seconds for each question about what a server is."""


def open_server(
    model: str,
    *,
    base_url: str | None = None,
    mode: Literal["tokens", "text", "chat"] | None = None,
    tokenizer: str | None = None,
    api_key: str | None = None,
    api_key_env: str | None = None,
    **options: Any,
) -> Backend:
    """Opens the backend that suits a server. The caller closes it.

    llama.cpp and SGLang have endpoints of their own, which take and return token ids; all others
    are used through the API of OpenAI.

    Args:
        model: the address of a server, or a name on the server of `base_url`.
        base_url: the server's address, with or without `/v1`; by default `OPENAI_BASE_URL`.
        mode: "tokens", "text" or "chat"; by default what the server can do. Text and chat go
            through the API of OpenAI on any server.
        tokenizer: of the model; only where the server has none to ask.
        api_key: by default `OPENAI_API_KEY`.
        api_key_env: another environment variable that holds the key.
        options: of the backend that is opened.

    Raises:
        ConfigError: the backend has no such option, or the server has the tokenizer.
        ModelError: there is no address, the server does not answer, or it cannot do what is wanted.
        MissingExtra: the extra `servers` is not installed.
    """
    url, key = address_of(model, base_url), key_of(api_key, api_key_env)
    name = "openai" if mode in ("text", "chat") else _kind(url, key)
    if tokenizer is not None and name == "llamacpp":
        raise ConfigError(
            f"tokenizer={tokenizer!r}: {url} has the model's own, which is used: leave it out"
        )
    given = {"base_url": url, "api_key": key, "tokenizer": tokenizer}
    if name == "openai":
        given["mode"] = mode
    make = plugins.load("backends", name)
    passed = {k: v for k, v in given.items() if v is not None}
    opened: Backend = make(
        url if is_address(model) else model, **passed, **checked_options(name, make, options)
    )
    return opened


def _kind(url: str, key: str | None) -> str:
    """The backend for a server. Only the first question has to be answered."""
    try:
        from start_sdk.backends._failures import once_loaded
        from start_sdk.backends._http import Connection, ServerError
    except ImportError as error:
        raise MissingExtra("a model on a server", "servers") from error

    connection = Connection(url, key, PATIENCE)

    def answers(path: str, field: str) -> bool:
        try:
            return field in once_loaded(connection.ask, "GET", path)
        except ServerError as error:
            if error.status is None and error.transient:  # nobody is there
                raise ModelError(str(error)) from error
            return False

    try:
        if answers("/props", "default_generation_settings"):
            return "llamacpp"
        return "sglang" if answers("/get_model_info", "model_path") else "openai"
    finally:
        connection.close()
