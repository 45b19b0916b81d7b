"""The config of a Hint-RFT run: one object, read from TOML, whose parts the stages share.

A stage is a plain function `stage(config, folder, ...) -> report`. It writes to its folder and
resumes where it was stopped. Values that a file leaves out take their defaults, from here or from
the tables of recipes/settings.py; the values that START (arXiv 2503.04625) discloses are in
`recipes/configs/qwq-32b.toml`.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from recipes.command import CommandLine, add_backend_options
from recipes.settings import (
    Curation,
    Evaluation,
    Grpo,
    Plan,
    Positive,
    Problems,
    RolloutConfig,
    Training,
)
from start_sdk import ConfigError, Limits, plugins
from start_sdk.cli import parsed_options
from start_sdk.values import Settings


class Config(Settings):
    """A whole run."""

    base: str
    """The model that is taught: embedded, a folder, or a hub id."""
    backend: str = ""
    """What runs it; by default "server" where there are `servers` or `base` is an address, else
    "transformers"."""
    backend_options: dict[str, Any] = Field(default_factory=dict)
    """Passed on to the backend, e.g. `deterministic = true`."""
    servers: tuple[str, ...] = ()
    """Addresses that serve the model; sessions are spread over them."""
    prompt: Literal["plain", "boxed"] = "boxed"
    """How a question is asked: as it is, or with a wish for a box."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    max_concurrency: Positive = 4
    """Problems in flight."""
    controls: tuple[Literal["text", "unselected", "masked"], ...] = ("text", "unselected", "masked")
    """What stands beside START (recipes/rft.py)."""
    limits: Limits = Limits()
    problems: Problems = Problems()
    evaluation: Evaluation = Evaluation()
    plain: RolloutConfig = RolloutConfig()
    """The base model without hints."""
    hinted: RolloutConfig = RolloutConfig(hints=("end:general",))
    """Hint-infer."""
    sampled: RolloutConfig = RolloutConfig(samples=16, temperature=0.6)
    """START-0's."""
    text: RolloutConfig = RolloutConfig(samples=16, temperature=0.6, python=False)
    """The base model's, without a tool: what the control is trained on, and what is easy."""
    seed_data: Curation = Curation()
    """D_seed."""
    start_data: Curation = Curation(rescued=False, needs_call=False)
    """D_START."""
    training: Training = Training()
    grpo: Grpo = Grpo()
    plan: Plan = Plan()

    @model_validator(mode="after")
    def _named(self) -> Config:
        """Names the backend, so that a row says what ran the model."""
        if not self.backend:
            where = self.servers[0] if self.servers else self.base
            object.__setattr__(self, "backend", plugins.backend_for(where))
        return self


def read_config(path: str | Path, changes: Mapping[str, Any] | None = None) -> Config:
    """The config of a TOML file, or of a JSON file, as a run writes it down whole.

    Args:
        path: the file.
        changes: values that go over those of the file, by dotted name: `{"training.epochs": 1}`.

    Raises:
        ConfigError: the file cannot be read, or holds what is no config.
    """
    try:
        read = json.loads if Path(path).suffix == ".json" else tomllib.loads
        values: dict[str, Any] = read(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read the config {str(path)!r}: {reason}") from error
    for name, value in (changes or {}).items():
        table = values
        *tables, last = name.split(".")
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name}: {part} is not a table of the config")
        table[last] = value
    try:
        return Config(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parsed_changes(texts: list[str]) -> dict[str, Any]:
    """Changes from `NAME=VALUE`, as a command line has them; values as TOML writes them.

    Raises:
        ConfigError: one has no "=".
    """
    changes: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigError(f"--set {text}: expected NAME=VALUE, e.g. training.epochs=1")
        try:
            changes[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:  # a bare word is a string
            changes[name] = value
    return changes


def command_line(
    program: str, doc: str | None, *, required: bool = True
) -> argparse.ArgumentParser:
    """A command line that names a config and what goes over it; `given` reads both."""
    parser = CommandLine(
        prog=f"python -m {program}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    about = "values that override the config, e.g. training.epochs=1"
    parser.add_argument("--config", type=Path, required=required, help="a TOML file")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", dest="changes", help=about
    )
    add_backend_options(parser)
    return parser


def given(options: argparse.Namespace) -> Config:
    """The config that a command line names.

    Raises:
        ConfigError: as `read_config` and `parsed_changes`.
    """
    changes = parsed_changes(options.changes)
    for name, value in parsed_options(options.backend_option).items():
        changes[f"backend_options.{name}"] = value
    if options.server:
        changes["servers"] = options.server
    return read_config(options.config, changes)
