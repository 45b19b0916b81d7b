"""Backends continue token ids. `open_backend` finds one by name."""

from __future__ import annotations

from typing import Any

from start_sdk import plugins
from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._continuation import Continuation, StopMatcher
from start_sdk.protocols import Backend

__all__ = ["CharTokenizer", "Continuation", "StopMatcher", "open_backend"]


def open_backend(model: str, backend: str = "transformers", **options: Any) -> Backend:
    """A backend that runs `model`; the caller closes it.

    Args:
        model: an embedded model ("start-tiny-base"), a local folder, or a hub id.
        backend: name of a plugin of the group `start_sdk.backends`.
        options: passed on to the backend.

    Raises:
        ModelError: the model cannot be found, read or used.
        PluginError: no such backend is installed.
        MissingExtra: the backend's own dependencies are not installed.
    """
    opened: Backend = plugins.load("backends", backend)(model, **options)
    return opened
