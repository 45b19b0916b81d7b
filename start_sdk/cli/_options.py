"""Resolves option values: tools and policies by name, files to write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from start_sdk import plugins
from start_sdk.errors import ConfigError, PluginError
from start_sdk.hints import AtCalculation, BeforeEnd, FirstOf, TrustResult, WhenUnsure
from start_sdk.protocols import Hint, HintPolicy, Tool

BUILT_IN: dict[str, Callable[[], HintPolicy]] = {
    "three-rounds": lambda: BeforeEnd(rounds=3),
    "calculation": AtCalculation,
    "calculation-else-end": lambda: FirstOf((AtCalculation(), BeforeEnd())),
    "unsure-results": lambda: WhenUnsure(BeforeEnd()),
    "unsure-surprise": lambda: WhenUnsure(BeforeEnd(), surprise=0.3, results=False),
    "unsure": lambda: WhenUnsure(BeforeEnd(), surprise=0.3),
    "end-trust": lambda: FirstOf((BeforeEnd(), TrustResult())),
}
"""Policies with options of their own, most of them beyond the paper (docs/hints.md)."""


def check_writable(path: Path) -> None:
    """Raises ConfigError if a file cannot be written, so that this fails before any work."""
    existed = path.exists()
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error
    if not existed:
        path.unlink()


def load_tool(named: str) -> Tool:
    """Creates a tool from NAME or NAME=VALUE: its plugin's name and its only argument."""
    name, _, value = named.partition("=")
    make = plugins.load("tools", name)
    try:
        made: Tool = make(value) if value else make()
    except TypeError as error:
        wanted = f"{name!r} takes no value" if value else f"write {name}=VALUE"
        raise PluginError(f"tool {name!r} cannot be created: {wanted} ({error})") from error
    return made


def load_policy(name: str, rounds: int, seed: int, own: Sequence[Hint] = ()) -> HintPolicy:
    """Creates a hint policy: one of `BUILT_IN`, or by its plugin's name.

    Hints of tools come before the library's.
    """
    if rounds != 1 and name != "end":
        raise ConfigError("--rounds requires --hints end")
    options: dict[str, dict[str, Any]] = {"end": {"rounds": rounds}, "connective": {"seed": seed}}
    if own and name in options:
        options[name]["hints"] = tuple(own)
    make = BUILT_IN.get(name) or plugins.load("hints", name, beside=BUILT_IN)
    try:
        policy: HintPolicy = make(**options.get(name, {}))
    except TypeError as error:
        raise PluginError(f"hint policy {name!r} cannot be created: {error}") from error
    return policy
