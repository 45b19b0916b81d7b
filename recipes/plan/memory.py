"""Estimates the memory that a run needs from the shape of its model, without loading weights.

Training: Adam on all weights keeps, for each parameter, a weight, its gradient and two moments, all
in float32, as recipes/training.py loads them: 4 + 4 + 8 = 16 bytes. (DeepSpeed's mixed precision
needs the same: 2 + 2 + 12, ZeRO, arXiv 1910.02054, section 3.1.) With LoRA the weights keep their
stored type, and only the adapters take 16 bytes. ZeRO-3 and FSDP shard all of it over the devices
(the same section); without them each device holds a full copy. Activations, logits and the layers
gathered for computation are not included.

Rollouts: one copy of the weights, in their stored type, and the keys and values of every token in
flight: layers x 2 x key-value heads x head size x bytes per number. Layers with a sliding window or
a fixed state need less.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.config import Config
from start_sdk import ConfigError, MissingExtra

GIB = 2**30
ADAM = 16
"""Bytes of a parameter that is trained."""


@dataclass(frozen=True)
class Model:
    """The size of a model."""

    parameters: int
    cache_bytes: int
    """Of a token."""
    known_from: str
    """Where both are from."""
    stored: int = 2
    """Bytes of a weight, as it is stored."""
    longest: int | None = None
    """Tokens of a context; None if that is not known."""
    adapters: int | None = None
    """Parameters of the adapters; None if they are not known, or none are trained."""


@dataclass(frozen=True)
class Launch:
    """How a training is spread."""

    processes: int
    split: bool
    """Whether they share weights, gradients and moments."""
    needs: str | None = None
    """A package that accelerate itself does not bring."""


def read(folder: Path, config: Config) -> Model:
    """The size of the model in a folder: its config.json on PyTorch's meta device.

    Raises:
        ConfigError: config.json describes no model that can be loaded.
        MissingExtra: PyTorch and transformers are not installed.
    """
    try:
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM
    except ImportError as error:
        raise MissingExtra("the size of the model", "transformers") from error
    try:
        found: Any = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(found)  # type: ignore[no-untyped-call]
    except Exception as error:  # a boundary: broken files raise anything, from several libraries
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"config.json does not describe a loadable model: {reason}") from error
    shape = found.get_text_config()
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    size = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    stored = torch.empty(0, dtype=_dtype(torch, found.dtype)).element_size()
    return Model(
        parameters=sum(p.numel() for p in model.parameters()),
        cache_bytes=shape.num_hidden_layers * 2 * heads * size * stored,
        known_from="counted from config.json",
        stored=stored,
        longest=getattr(shape, "max_position_embeddings", None),
        adapters=_adapters(torch, model, config),
    )


def assumed(config: Config) -> Model | None:
    """The size that `[plan]` tells, of weights of two bytes; None if it tells none."""
    plan = config.plan
    if plan.parameters is None or plan.cache_bytes is None:
        return None
    return Model(plan.parameters, plan.cache_bytes, "as [plan] says")


def lines(config: Config, model: Model | None, launch: Launch) -> list[str]:
    """The memory of a training and of rollouts, each as a sum that can be checked."""
    if model is None:
        return ["memory: not known without config.json, or plan.parameters and plan.cache_bytes"]
    size = f"model: {model.parameters:,} parameters, {model.known_from}"
    return [size, _training(config, model, launch), *_rollouts(config, model)]


def _training(config: Config, model: Model, launch: Launch) -> str:
    if config.training.lora is None:
        need, terms = ADAM * model.parameters, f"{ADAM} bytes x {model.parameters:,}"
    else:
        adapters = model.adapters or 0
        need = model.stored * model.parameters + ADAM * adapters
        counted = f"{adapters:,} of adapters" if adapters else "those of adapters, not counted"
        terms = f"{model.stored} bytes x {model.parameters:,} + {ADAM} bytes x {counted}"
    each = need / launch.processes if launch.split else need
    how = "split over" if launch.split else "the same on each of"
    return (
        f"training: {terms} = {_gib(need)}, {how} {_devices(launch.processes)}: {_gib(each)} each; "
        "activations and logits come on top"
    )


def _rollouts(config: Config, model: Model) -> list[str]:
    devices, many = config.plan.rollout_devices, config.max_concurrency
    weights = model.stored * model.parameters
    longest = min(config.limits.max_tokens, model.longest or config.limits.max_tokens)
    made = [
        f"rollouts: weights {model.stored} bytes x {model.parameters:,} = {_gib(weights)}; "
        f"cache {model.cache_bytes:,} bytes a token"
    ]
    usual = [n for n in (config.plan.thought, config.plan.start_thought) if n]
    cases = {"at most": longest} | ({"as expected": min(longest, max(usual))} if usual else {})
    for name, tokens in cases.items():
        cache = many * tokens * model.cache_bytes
        made.append(
            f"    {name}: weights + {many} at once x {tokens:,} tokens ({_gib(cache)}), over "
            f"{_devices(devices)}: {_gib((weights + cache) / devices)} each"
        )
    return made


def _adapters(torch: Any, model: Any, config: Config) -> int | None:
    """Parameters of adapters on all linear layers but the last (recipes/training.py)."""
    if config.training.lora is None:
        return None
    last = model.get_output_embeddings()
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not last]
    each = [int(m.in_features) + int(m.out_features) for m in layers]
    return config.training.lora.rank * sum(each)


def _dtype(torch: Any, dtype: Any) -> Any:
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    return found if isinstance(found, torch.dtype) else torch.float32


def _devices(count: int) -> str:
    return f"{count} devices" if count > 1 else "1 device"


def _gib(count: float) -> str:
    return f"{count / GIB:,.1f} GiB" if count >= GIB else f"{count / 2**20:,.1f} MiB"
