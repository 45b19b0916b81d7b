"""The tables of a Hint-RFT config (recipes/config.py), with their defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from start_sdk.trace import Source
from start_sdk.values import Settings

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Speed = Annotated[float, Field(gt=0)]


class Problems(Settings):
    """Which problems are trained on."""

    sources: tuple[str, ...] = ("tiny",)
    """ "tiny" (the training split of the miniature world, without the families kept from training),
    "reasoning_gym" (that of the kinds of `evaluation.levels`, without those of `evaluation.kept`),
    sources of recipes/datasets.toml, or files like them, as `NAME=FILE`."""
    families: Literal["math", "code", "all"] = "math"
    """Of the source tiny."""
    take: dict[str, Positive] = Field(default_factory=dict)
    """Of a source, at most so many, drawn by the seed (of tiny and reasoning_gym: of each family,
    and they need a number); all of a source that is not named here."""


class RolloutConfig(Settings):
    """How problems become traces."""

    hints: tuple[str, ...] = ("none",)
    """Each problem is run with each of these policies (recipes/policies.py)."""
    samples: Positive = 1
    """Samples of each problem and policy."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    only_wrong: bool = False
    """Leave out the problems that the previous rollout was right on."""


class Curation(Settings):
    """Which traces are kept to train on (recipes/hint_rft)."""

    rescued: bool = True
    """Only problems that were wrong without hints: the paper's selection of D_seed."""
    needs_call: bool = True
    """Only traces that ran code."""
    max_error_rate: Share = 0.0
    """Share of a trace's calls that may have failed."""
    easy_from: Share | None = None
    """A problem that a rollout without Python is right on in at least this share of its samples is
    answered without a call, any other one with: traces that do otherwise are left out. Ours, not
    the paper's."""
    modify: bool = True
    """Drop failed tries whose absence changes no later output."""
    repeats: Annotated[int, Field(ge=2)] = 4
    """Copies of a pattern, in a row, that make a trace repetitive."""
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
    accelerate: str | None = None
    """A file of `accelerate launch`: `recipes.reproduce` trains with it."""


class Grpo(Settings):
    """Reinforcement learning in sessions (recipes/train_grpo.py).

    Of `Training` these hold here, too: `per_device`, `threads`, `lora`, `attention`,
    `gradient_checkpointing`, `optimizer`, `weight_decay`, `adam_betas`, `max_grad_norm`,
    `report_to`.
    """

    steps: Positive = 100
    prompts: Positive = 16
    """Problems of a step."""
    generations: Annotated[int, Field(ge=2)] = 8
    """Sessions of each problem: the group in which rewards are compared."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    """The same in every step."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Of the sessions; all tokens may be drawn (top-p is 1)."""
    beta: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the divergence from the base model, which then is kept beside the trained one."""
    loss: Literal["dapo", "grpo", "dr_grpo", "bnpo"] = "dapo"
    """What a token weighs: the same in all sessions of a step, or (grpo) less in long ones."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """Whose standard deviation advantages are divided by."""
    bf16: bool = True
    """Products in bfloat16, of the sessions as of the training; weights are float32."""
    save_steps: Positive = 25


class Evaluation(Settings):
    """What is evaluated on, and must not be trained on."""

    suites: tuple[str, ...] = ()
    """As `recipes.evaluate` takes them: tiny, reasoning_gym, suites by name, or files."""
    levels: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """The kinds of reasoning_gym, and how hard each is: the keyword arguments of
    `reasoning_gym.create_dataset`. Training problems are of the same levels."""
    kept: tuple[str, ...] = ()
    """Of these kinds, those that are not trained on."""
    n: Positive = 30
    """Problems of each family and seed, of the suites tiny and reasoning_gym."""
    seeds: tuple[Count, ...] = (1009, 2003, 3001)
    """Seeds that draw these problems."""
    samples: Positive = 1
    """Of each problem; its share of right ones is what counts."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy."""
    rounds: Count = 3
    """Of hints, in a row, for the curve of test-time scaling; 0 leaves it out."""
    rounds_n: Positive = 5
    """Problems of each family, or suite, that have these rounds."""


class Plan(Settings):
    """What `recipes.plan` assumes of a run; nothing that is computed depends on it.

    Missing values are assumed to be as large as possible; without a speed, hours are not estimated.
    """

    thought: Positive | None = None
    """Tokens that the base model samples without hints; None: `limits.max_tokens`."""
    hinted_thought: Positive | None = None
    """Tokens that it samples after a hint; None: `limits.max_tokens`."""
    start_thought: Positive | None = None
    """Tokens that a trained model samples; None: `limits.max_tokens`."""
    spliced: Count = 0
    """Tokens of a trace that nobody sampled: of prompt, hints and outputs."""
    correct: Share = 0.0
    """Share of the training problems that the base model is right on without hints."""
    seed_share: Share = 1.0
    """Share of the training problems that have a row in D_seed."""
    start_share: Share = 1.0
    """Share of them that have one in D_START."""
    text_share: Share = 1.0
    """Share of them that have one in the training set of the control `text`."""
    rollout_speed: Speed | None = None
    """Tokens sampled per second on one device, kernels included."""
    rollout_devices: Positive = 1
    """That hold one copy of the model together."""
    training_speed: Speed | None = None
    """Tokens trained on per second on one device."""
    training_devices: Positive = 1
    """That share weights, gradients and Adam's moments; `training.accelerate` takes precedence."""
    parameters: Positive | None = None
    """Of the base model, where its config.json cannot be read."""
    cache_bytes: Positive | None = None
    """Of keys and values of a token, likewise."""
