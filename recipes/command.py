"""The command line that all programs share: a config, and flags that go over it."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from recipes.config import Config, read_config
from start_sdk import ConfigError, StartError
from start_sdk.cli import report_visibly, visible

FLAGS = {
    "model": ("base", "base (the default), start, a folder, a hub id, an address, a server's name"),
    "backend": ("backend", "what runs the model; by default inferred from its name or address"),
    "prompt": ("prompt", "plain, boxed, direct, designed, few-shot or livecodebench"),
    "conclude": ("conclude", "auto, always, never, or a text that asks for the answer"),
    "library": ("library", "a hint library in place of the one that is shipped"),
    "hint": ("hint", "id of the hint for policies that name none"),
    "seed": ("seed", "of problems, options and samples"),
    "max-concurrency": ("max_concurrency", "problems in flight"),
}
"""Flags of one value: what each sets in the config, and its help."""
TABLES = {
    "backend-option": ("backend_options", "an option of the backend, e.g. threads=2"),
    "limits": ("limits", "what a run may spend, e.g. max_tokens=4096 max_calls=6"),
    "sampling": ("sampling", "how tokens are drawn, e.g. top_k=20"),
    "template": ("template", "an option of the chat template, e.g. enable_thinking=true"),
}
"""Flags of several NAME=VALUE: the table of the config that each sets, and its help."""


class CommandLine(argparse.ArgumentParser):
    """A parser whose errors are one line, free of terminal escapes, as are tracebacks from here on.

    Arguments may be names of someone else's files, and errors quote what those contain.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)
        report_visibly()

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        super().exit(status, message and visible(message))


def command_line(
    program: str,
    doc: str | None,
    *,
    needs_config: bool = False,
    out: str = "folder for rows and reports; an interrupted run resumes from it",
) -> CommandLine:
    """A command line with the flags that all programs share; `given` reads them.

    Args:
        program: the module's name.
        doc: its docstring.
        needs_config: whether there are no useful defaults.
        out: help of `--out`.
    """
    parser = CommandLine(prog=f"python -m {program}", description=doc)
    add = parser.add_argument
    add("--config", type=Path, required=needs_config, metavar="FILE", help="TOML or JSON")
    several: dict[str, Any] = {"nargs": "+", "action": "extend", "default": []}
    pairs = {**several, "type": assigned, "metavar": "NAME=VALUE"}
    add("--set", **pairs, help="values of the config, e.g. training.epochs=1")
    for flag, (name, about) in FLAGS.items():
        add(f"--{flag}", dest=name, metavar="VALUE", help=about)
    for flag, (name, about) in TABLES.items():
        add(f"--{flag}", dest=name, **pairs, help=about)
    about = "address that serves the model; several share the sessions"
    add("--server", dest="servers", **several, metavar="URL", help=about)
    add("--out", type=Path, metavar="PATH", help=out)
    return parser


def assigned(text: str) -> tuple[str, Any]:
    """A name and its value, from `NAME=VALUE`; what TOML cannot read is text.

    Raises:
        argparse.ArgumentTypeError: it has no "=".
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def given(options: argparse.Namespace, usual: dict[str, Any] | None = None) -> Config:
    """The config that a command line names.

    Args:
        options: what was parsed.
        usual: a program's own defaults, by dotted name, where there is no config.

    Raises:
        ConfigError: as `read_config`.
    """
    flags = vars(options)
    changes = dict(usual or {}) if options.config is None else {}
    changes |= flags["set"]
    changes |= {name: flags[name] for name, _ in FLAGS.values() if flags[name] is not None}
    for table, _ in TABLES.values():
        changes |= {f"{table}.{name}": value for name, value in flags[table]}
    if options.servers:
        changes["servers"] = options.servers
        if options.config is None:
            changes.setdefault("base", "")  # the servers' only model
    return read_config(options.config, changes)


def program(parser: argparse.ArgumentParser, body: Callable[[], int | None]) -> int:
    """Runs a program's body, which may say its exit status: 2 for bad input, 130 for Ctrl-C."""
    try:
        return body() or 0
    except StartError as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "stopped; run the same command again to resume\n")


def out_of(options: argparse.Namespace) -> Path:
    """The output folder.

    Raises:
        ConfigError: none is given.
    """
    if options.out is None:
        raise ConfigError("--out is required: the folder for rows and reports")
    folder: Path = options.out
    return folder


def created(folder: Path) -> Path:
    """A folder, made if there is none.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot create folder {str(folder)!r}: {error.strerror}") from error
    return folder
