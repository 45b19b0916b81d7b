"""Loads plugins by name through Python's entry points; built-in ones use the same mechanism.

Groups: `start_sdk.backends`, `start_sdk.interpreters`, `start_sdk.tools`, `start_sdk.hints`. An
entry point names a class or a function; `load` imports it and leaves calling it to the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from start_sdk.errors import PluginError, StartError

LOCAL = ("transformers", "vllm")
"""Backends that run a model in this process: options for servers do not apply to them."""

HOST = re.compile(r"[\w.-]+:\d+(/|$)")
"""A host and a port: an address, but for its scheme."""

Group = Literal["backends", "interpreters", "tools", "hints"]


def names(group: Group) -> list[str]:
    """Returns the sorted names of a group's installed plugins."""
    return sorted({e.name for e in entry_points(group=f"start_sdk.{group}")})


def backend_for(model: str) -> str:
    """The plugin that runs a model if none is named: "server" for an address."""
    return "server" if model.lower().startswith(("http://", "https://")) else "transformers"


def load(group: Group, name: str, beside: Iterable[str] = ()) -> Any:
    """Returns the object that a plugin's entry point names.

    Args:
        group: what the plugin is.
        name: its name.
        beside: names that are no plugins but would have been accepted, for the message.

    Raises:
        PluginError: the name is unknown, provided by more than one package, or fails to import.
        MissingExtra: the plugin needs an extra that is not installed.
    """
    kind = group.removesuffix("s")
    found: list[EntryPoint] = [
        e for e in entry_points(group=f"start_sdk.{group}") if e.name == name
    ]
    if not found:
        known = [*names(group), *beside]
        near = get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise PluginError(
            f"no {kind} is named {name!r}; installed: {', '.join(known) or 'none'}{meant}"
        )
    if len(found) > 1:
        owners = ", ".join(sorted(e.dist.name if e.dist else e.value for e in found))
        raise PluginError(
            f"{kind} {name!r} is provided by more than one package ({owners}): uninstall one"
        )
    try:
        return found[0].load()
    except StartError:
        raise  # already a clear message, e.g. that an extra is missing
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"{kind} {name!r} ({found[0].value}) cannot be loaded: {error}"
        ) from error
