"""Backends continue sequences of token ids. `open_backend` opens one by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from start_sdk import plugins
from start_sdk._opening import discard, of_type
from start_sdk.backends._characters import CharTokenizer
from start_sdk.backends._continuation import Continuation
from start_sdk.backends._options import checked_options
from start_sdk.backends._replicas import Replicas
from start_sdk.errors import ConfigError, StartError
from start_sdk.protocols import Backend

__all__ = ["CharTokenizer", "Continuation", "Replicas", "open_backend"]


def open_backend(
    model: str, backend: str | None = None, *, servers: Sequence[str] = (), **options: Any
) -> Backend:
    """Opens a backend that runs `model`. The caller closes it.

    Args:
        model: an embedded model ("start-tiny-base"), a local folder, a hub id, or the address of
            a server.
        backend: name of a plugin in the group `start_sdk.backends`; by default "server" for an
            address, else "transformers".
        servers: addresses that all serve the model; sessions are spread over them, and leave one
            that fails (`Replicas`). With "" as the model each has to serve just one.
        options: passed to the backend.

    Raises:
        ConfigError: the model is no name, the backend has no such option, or it takes another type.
        ModelError: the model cannot be found, read or used.
        PluginError: no backend of that name is installed.
        MissingExtra: the backend's own dependencies are not installed.
    """
    of_type("model", model, str)
    if isinstance(servers, str):  # a sequence, too: of letters
        raise ConfigError(f"servers={servers!r}: pass a list of addresses")
    if servers:
        return _on_servers(model, backend or "server", servers, options)
    name = backend or plugins.backend_for(model)
    make = plugins.load("backends", name)
    opened: Backend = make(model, **checked_options(name, make, options))
    return opened


def _on_servers(
    model: str, backend: str, servers: Sequence[str], options: dict[str, Any]
) -> Backend:
    if len(servers) == 1:
        return _on_server(model, backend, servers[0], options)
    patience = {k: v for k, v in options.items() if k == "retry_seconds"}
    opened: list[Backend] = []
    try:
        for url in servers:  # none retries by itself: another one may answer at once
            opened.append(_on_server(model, backend, url, {**options, "retry_seconds": 0.0}))
        return Replicas(opened, **patience)
    except StartError:
        for one in opened:
            discard(one)
        raise


def _on_server(model: str, backend: str, url: str, options: dict[str, Any]) -> Backend:
    where = {"base_url": url} if model else {}
    return open_backend(model or url, backend, **where, **options)
