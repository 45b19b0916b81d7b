"""Backends continue sequences of token ids. `open_backend` opens one by name."""

from __future__ import annotations

from typing import Any

from start_sdk import plugins
from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._continuation import Continuation
from start_sdk.backends._options import checked_options
from start_sdk.protocols import Backend

__all__ = ["CharTokenizer", "Continuation", "open_backend"]


def open_backend(model: str, backend: str | None = None, **options: Any) -> Backend:
    """Opens a backend that runs `model`. The caller closes it.

    Args:
        model: an embedded model ("start-tiny-base"), a local folder, a hub id, or the address of
            a server.
        backend: name of a plugin in the group `start_sdk.backends`; by default "server" for an
            address, else "transformers".
        options: passed to the backend.

    Raises:
        ConfigError: the backend has no such option, or it takes another type.
        ModelError: the model cannot be found, read or used.
        PluginError: no backend of that name is installed.
        MissingExtra: the backend's own dependencies are not installed.
    """
    name = backend or plugins.backend_for(model)
    make = plugins.load("backends", name)
    opened: Backend = make(model, **checked_options(name, make, options))
    return opened
