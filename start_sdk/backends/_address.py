"""Addresses of servers, and keys for them."""

from __future__ import annotations

from urllib.parse import urlsplit

from start_sdk.errors import ModelError


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


def checked_key(key: str | None) -> str:
    """A key, "" for none. Raises ModelError if no header can hold it."""
    key = (key or "").strip()
    if not key.isascii() or not key.isprintable():
        raise ModelError("the API key has characters that no key has: was it copied whole?")
    return key
