"""Addresses of servers, and keys for them."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from start_sdk import plugins
from start_sdk.errors import ModelError


def is_address(model: str) -> bool:
    """Whether a model's name is a server's address."""
    return model.lower().startswith(("http://", "https://"))


def address_of(model: str, base_url: str | None) -> str:
    """The address of a model's server: the model's name itself, the option, or the environment's.

    Raises:
        ModelError: there is none.
    """
    url = model if is_address(model) else base_url or os.environ.get("OPENAI_BASE_URL")
    if not url and plugins.HOST.match(model):
        raise ModelError(f"{model!r} is no address: did you mean 'http://{model}'?")
    if not url:
        raise ModelError(f"no server address for {model!r}: set OPENAI_BASE_URL or base_url=")
    return url


def key_of(api_key: str | None, api_key_env: str | None) -> str | None:
    """The key, or what the named variable holds, or `OPENAI_API_KEY`.

    Raises:
        ModelError: the variable that was named does not exist.
    """
    if api_key or not api_key_env:
        return api_key or os.environ.get("OPENAI_API_KEY")
    if not (found := os.environ.get(api_key_env)):
        raise ModelError(f"the environment variable {api_key_env} holds no key: it is not set")
    return found


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port


def shown(url: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def checked_address(url: str) -> str:
    """An address without trailing slashes. Raises ModelError if it is none, or holds secrets."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port or an IPv6 address that is none
        valid = False
    if not valid:
        raise ModelError(f"{url!r} is not a valid address such as http://localhost:8000/v1")
    if "@" in parts.netloc:  # it would appear in logs and errors
        raise ModelError("the address contains a password: pass api_key= instead")
    if parts.query or parts.fragment:  # there may be a key in it
        raise ModelError(f"{url.partition('?')[0]}: leave out what follows the path")
    return url.rstrip("/")


def check_limits(
    timeout: float = 1.0, retry_seconds: float = 0.0, max_context: int | None = None
) -> None:
    """Raises ModelError for a limit that no request can keep."""
    if not timeout > 0 or (max_context is not None and max_context < 1):
        raise ModelError("timeout and max_context must be above 0")
    if not retry_seconds >= 0:
        raise ModelError("retry_seconds must not be below 0")


def checked_key(key: str | None) -> str:
    """A key, "" for none. Raises ModelError if no header can hold it."""
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable():
        raise ModelError("the API key has characters that no key has: was it copied whole?")
    return key
