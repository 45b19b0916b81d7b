"""What the words of a command line stand for: tools and policies by name, files to be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from start_sdk import plugins
from start_sdk.errors import ConfigError, PluginError
from start_sdk.protocols import Hint, HintPolicy, Tool


def check_writable(path: Path) -> None:
    """Raises ConfigError if a file cannot be written: said before any work."""
    existed = path.exists()
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror}") from error
    if not existed:
        path.unlink()


def load_tool(named: str) -> Tool:
    """A tool by its plugin's name and, behind a "=", the one value that it is made from."""
    name, _, value = named.partition("=")
    make = plugins.load("tools", name)
    try:
        made: Tool = make(value) if value else make()
    except TypeError as error:
        wanted = f"{name!r} takes no value" if value else f"write {name}=VALUE"
        raise PluginError(f"tool {name!r} cannot be made: {wanted} ({error})") from error
    return made


def load_policy(name: str, rounds: int, seed: int, own: Sequence[Hint] = ()) -> HintPolicy:
    """A hint policy by its plugin's name; those that come with tools speak before the library's."""
    if rounds != 1 and name != "end":
        raise ConfigError("--rounds goes with --hints end")
    options: dict[str, dict[str, Any]] = {"end": {"rounds": rounds}, "connective": {"seed": seed}}
    if own and name in options:
        options[name]["hints"] = tuple(own)
    make = plugins.load("hints", name)
    try:
        policy: HintPolicy = make(**options.get(name, {}))
    except TypeError as error:
        raise PluginError(f"hint {name!r} cannot be made without arguments: {error}") from error
    return policy
