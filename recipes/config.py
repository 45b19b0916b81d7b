"""The config of a run: one object, read from TOML, with the flags of a command line over it.

Every program takes the same one and uses its own part of it: how a model thinks (the fields of
`Config` itself), and the tables of recipes/settings.py. Values that a file leaves out take their
defaults; the values that START (arXiv 2503.04625) discloses are in `recipes/configs/qwq-32b.toml`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

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
from start_sdk import Backend, ConfigError, Limits, Sampling, models, open_backend, plugins
from start_sdk.values import Settings

ALIASES = {"base": models.BASE, "start": models.DEFAULT}
"""Short names of the embedded models."""


class Config(Settings):
    """A whole run."""

    base: str = models.BASE
    """The base model, which is sampled and trained: embedded, a folder, a hub id, an address; ""
    for the only model of the `servers`."""
    backend: str = ""
    """What runs it; by default "server" if there are `servers` or `base` is an address, else
    "transformers"."""
    backend_options: dict[str, Any] = Field(default_factory=dict)
    """Passed on to the backend, e.g. `deterministic = true`."""
    servers: tuple[str, ...] = ()
    """Addresses that serve the model: sessions are spread over them."""
    prompt: Literal["plain", "boxed", "direct", "designed", "few-shot", "livecodebench"] = "boxed"
    """How a question is asked (recipes/questions.py)."""
    template: dict[str, Any] = Field(default_factory=dict)
    """Options of the chat template, e.g. `enable_thinking = true`."""
    sampling: dict[str, Any] = Field(default_factory=dict)
    """Fields of `Sampling`; each rollout sets its own temperature."""
    limits: Limits = Limits()
    conclude: str = ""
    """As `ReasoningSession` takes it; by default a prompt's own (recipes/questions.py)."""
    library: Path | None = None
    """A hint library in place of the one that is shipped."""
    hint: str = ""
    """The hint of policies that name none."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    max_concurrency: Positive = 4
    """Problems in flight."""
    controls: tuple[Literal["text", "unselected", "masked", "longer"], ...] = (
        "text", "unselected", "masked",
    )  # fmt: skip
    """What is compared with START (recipes/reproduce)."""
    problems: Problems = Problems()
    evaluation: Evaluation = Evaluation()
    plain: RolloutConfig = RolloutConfig()
    """The base model without hints."""
    hinted: RolloutConfig = RolloutConfig(hints=("end:general",))
    """Hint-infer."""
    sampled: RolloutConfig = RolloutConfig(samples=16, temperature=0.6)
    """START-0 on the training problems."""
    text: RolloutConfig = RolloutConfig(hints=("no-tool",), samples=16, temperature=0.6)
    """The base model without a tool: the control trains on these samples, and `easy_from` counts
    them."""
    seed_data: Curation = Curation()
    """D_seed."""
    start_data: Curation = Curation(rescued=False, needs_call=False)
    """D_START."""
    training: Training = Training()
    text_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of the control `text`, chosen on validation problems; by default that of `training`."""
    grpo: Grpo = Grpo()
    plan: Plan = Plan()

    @model_validator(mode="after")
    def _settled(self) -> Config:
        """Names model and backend, so that a row says what ran."""
        object.__setattr__(self, "base", ALIASES.get(self.base, self.base))
        if not self.backend:
            where = self.servers[0] if self.servers else self.base
            object.__setattr__(self, "backend", plugins.backend_for(where))
        self.sampled_at(0.0)  # checks the fields
        return self

    def sampled_at(self, temperature: float) -> Sampling:
        """How tokens are drawn at a temperature.

        Raises:
            ConfigError: a field of `sampling` is unknown, out of range or set elsewhere.
        """
        if twice := {"temperature", "seed"} & self.sampling.keys():
            raise ConfigError(f"sampling.{min(twice)}: each rollout has its own, set that")
        return Sampling(**{"temperature": temperature, **self.sampling})

    def opened(self, model: str | None = None) -> Backend:
        """Opens a backend for `model`, by default the config's. The caller closes it."""
        name = self.base if model is None else ALIASES.get(model, model)
        return open_backend(name, self.backend, servers=self.servers, **self.backend_options)


def read_config(path: str | Path | None, changes: Mapping[str, Any] | None = None) -> Config:
    """The config of a TOML file, or of the config.json that a run saves.

    Args:
        path: the file; None for the defaults.
        changes: values that go over those of the file, by dotted name: `{"training.epochs": 1}`.

    Raises:
        ConfigError: the file cannot be read, or a value in it is not valid.
    """
    values = {} if path is None else _read(Path(path))
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
        raise ConfigError(f"{path}: {error}" if path else str(error)) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads if path.suffix == ".json" else tomllib.loads
        values: dict[str, Any] = {**read(path.read_text(encoding="utf-8"))}
    except (OSError, TypeError, ValueError, RecursionError) as error:  # TypeError: a list
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read the config {str(path)!r}: {reason}") from error
    return values
