"""What a run of Hint-RFT is: one config, read from TOML, whose parts the stages share.

A stage is a plain function `stage(config, folder, ...) -> report`. It writes into its folder and
goes on where it was stopped. Tables and fields that a file leaves out have the values below; what
START (arXiv 2503.04625) discloses stands in `recipes/configs/qwq-32b.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from start_sdk import ConfigError, Limits
from start_sdk.trace import Settings, Source

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Problems(Settings):
    """Which problems are trained on."""

    sources: tuple[str, ...] = ("tiny",)
    """ "tiny" (the training split of the miniature world, without the families kept from training),
    names of `recipes.data.SOURCES`, or files like them, as `NAME=FILE`."""
    families: Literal["math", "code", "all"] = "math"
    """Of the source tiny."""
    take: dict[str, Positive] = Field(default_factory=dict)
    """Of a source, at most so many, drawn by the seed (of tiny: of each family, and it needs a
    number); all of a source that is not named here."""


class Rollout(Settings):
    """How problems become traces."""

    hints: tuple[str, ...] = ("none",)
    """Each problem is run with each: `none`, `PLACE` or `PLACE:HINT` (recipes/rollout.py)."""
    samples: Positive = 1
    """Of each problem and hint."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    only_wrong: bool = False
    """Leave out the problems that the rollout before was right on."""
    python: bool = True
    """Run the code in a thought; without it blocks stay text, as for the paper's QwQ-RFT."""


class Curation(Settings):
    """Which traces are kept to train on (recipes/hint_rft)."""

    rescued: bool = True
    """Only problems that were wrong without hints: the paper's selection of D_seed."""
    needs_call: bool = True
    """Only traces that ran code."""
    max_error_rate: Share = 0.0
    """Share of a trace's calls that may have failed."""
    modify: bool = True
    """Drop failed tries whose absence changes no later output."""
    repeats: Annotated[int, Field(ge=2)] = 4
    """Copies of a pattern, one behind the other, that make a trace repetitive."""
    max_tokens: Positive = 16_384
    """Longer traces are left out: the training length."""
    overlap_words: Positive = 13
    """Words in a row, shared with a problem of the evaluation, that make a problem suspect..."""
    overlap_share: Annotated[float, Field(gt=0, le=1)] = 0.6
    """... and the share of its words, in order, that it then has to have in common with it."""
    size: Positive | None = None
    """Rows kept at most, drawn by the seed; None keeps all."""


class Lora(Settings):
    """Low-rank adapters in place of all weights (LoRA, arXiv 2106.09685)."""

    rank: Positive = 64
    alpha: Positive = 128
    dropout: Share = 0.0


class Training(Settings):
    """Supervised fine-tuning on traces (recipes/train_sft.py)."""

    learning_rate: Annotated[float, Field(gt=0)] = 7e-6
    epochs: Annotated[float, Field(gt=0)] = 3.0
    batch: Positive = 128
    """Sequences of a step, over all processes; packed ones count once."""
    per_device: Positive = 1
    """Sequences of a forward pass on one device; the rest of `batch` is accumulated."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    warmup: Share = 0.03
    """Share of the steps."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    adam_betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    max_length: Positive = 16_384
    """Tokens of a sequence; longer traces are left out, never cut."""
    packing: bool = False
    """Several traces in one sequence; none sees another."""
    train_on: tuple[Source, ...] = ("model", "hint")
    """Whose tokens carry loss; the end-of-sequence token is the model's."""
    lora: Lora | None = None
    bf16: bool = True
    gradient_checkpointing: bool = True
    attention: str = "sdpa"
    optimizer: str = "adamw_torch_fused"
    threads: Positive | None = None
    """Of a process, where it trains on processors; None: one per core, which a small model on a
    machine that is shared pays for (docs/hint-rft.md)."""
    save_steps: Positive = 100
    logging_steps: Positive = 1
    report_to: tuple[str, ...] = ("tensorboard",)
    """Of transformers' loggers, e.g. "tensorboard", "trackio"; train.jsonl is always written."""


class Evaluation(Settings):
    """What is evaluated on, and must not be trained on."""

    suites: tuple[str, ...] = ()
    """As `recipes.evaluate` takes them: tiny, suites by name, or files."""
    n: Positive = 30
    """Problems of each family and seed, of the suite tiny."""
    seeds: tuple[Count, ...] = (1009, 2003, 3001)
    """That draw them."""


class Config(Settings):
    """A whole run."""

    base: str
    """The model that is taught: embedded, a folder, or a hub id."""
    backend: str = "transformers"
    backend_options: dict[str, Any] = Field(default_factory=dict)
    """Passed on to the backend, e.g. `deterministic = true`."""
    prompt: Literal["plain", "boxed"] = "boxed"
    """How a question is asked: as it is, or with a wish for a box."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    at_once: Positive = 4
    """Problems in flight."""
    limits: Limits = Limits()
    problems: Problems = Problems()
    evaluation: Evaluation = Evaluation()
    plain: Rollout = Rollout()
    """The base model without hints."""
    hinted: Rollout = Rollout(hints=("end:general",))
    """Hint-infer."""
    sampled: Rollout = Rollout(samples=16, temperature=0.6)
    """START-0's."""
    seed_data: Curation = Curation()
    """D_seed."""
    start_data: Curation = Curation(rescued=False, needs_call=False)
    """D_START."""
    training: Training = Training()


def read_config(path: str | Path, changes: Mapping[str, Any] | None = None) -> Config:
    """The config of a TOML file.

    Args:
        path: the file.
        changes: values that go over those of the file, by dotted name: `{"training.epochs": 1}`.

    Raises:
        ConfigError: the file cannot be read, or holds what is no config.
    """
    try:
        values: dict[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read the config {str(path)!r}: {reason}") from error
    for name, value in (changes or {}).items():
        table = values
        *tables, last = name.split(".")
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name}: {part} is no table of the config")
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
            raise ConfigError(f"--set {text}: write NAME=VALUE, e.g. training.epochs=1")
        try:
            changes[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:  # a bare word is a string
            changes[name] = value
    return changes
