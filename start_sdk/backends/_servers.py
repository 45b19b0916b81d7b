"""Finds out by asking which kind of server an address is, and opens the backend for it."""

from __future__ import annotations

from typing import Any

from start_sdk import plugins
from start_sdk.protocols import Backend


def open_server(model: str, **options: Any) -> Backend:
    """Opens the backend that suits a server. The caller closes it."""
    opened: Backend = plugins.load("backends", "openai")(model, **options)
    return opened
