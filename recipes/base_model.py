"""What can be known of a base model without its weights: its size, memory, tokenizer, template."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from recipes.config import Config
from recipes.policies import hint_of
from recipes.suites import CodeProblem, Problem
from start_sdk import ConfigError, Message, ModelError, StartError, models
from start_sdk.backends.tokenizer import HFTokenizer
from start_sdk.formats import check_format, detect
from start_sdk.hints import round_hints
from start_sdk.models import hub

ADAM = 16
"""Bytes of a trained parameter: its weight, gradient and two moments, all in float32, as
recipes/training.py loads it. Mixed precision needs as many (ZeRO, arXiv 1910.02054, 3.1)."""
QUESTION = Problem("plan", "What is 84719 times 9317?", "789326923")
PROGRAM = CodeProblem("plan", "Double a number.", "", samples=(("2", "4"),))
THOUGHT = "It is 12 times 7, which is 84. Wait"
"""What hints and outputs follow in a check."""
online = cache(hub.online)


class NotHere(StartError):
    """This machine does not have something and cannot fetch it now; another machine may."""


class Model(NamedTuple):
    """The size of the base model."""

    parameters: int
    cache_bytes: int
    """Bytes of the keys and values of a token."""
    location: str = ""
    """A folder or a hub id; "" if `[plan]` gives the size."""
    stored: int = 2
    """Bytes of a weight in its file."""
    longest: int | None = None
    """Tokens of its context, if that is known."""


def read_base(config: Config) -> Model:
    """The size of the base model: its config.json on PyTorch's meta device.

    Raises:
        NotHere: the model is not on this machine, and the hub cannot be asked.
        ModelError: there is no such model.
        Exception: of any kind, if its config.json is broken.
    """
    name = config.base
    try:
        location = models.find(name, weights=False).location
    except ModelError as error:
        if online() or name.count("/") > 1:  # the hub answered, or could not have it
            raise
        raise NotHere(str(error)) from error
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    found: Any = AutoConfig.from_pretrained(location)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(found)  # type: ignore[no-untyped-call]
    shape = found.get_text_config()
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    size = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    stored = (found.dtype or torch.float32).itemsize
    cache_bytes = shape.num_hidden_layers * 2 * heads * size * stored
    longest = getattr(shape, "max_position_embeddings", None)
    return Model(model.num_parameters(), cache_bytes, location, stored, longest)


def memory(config: Config, model: Model | None, trainers: int) -> Iterator[str]:
    """The memory of training and rollouts, each as a sum that can be checked.

    ZeRO-3 and FSDP split a training over its devices; without them, each needs all of it. Not
    included are activations, logits, adapters, and the layers that are gathered for a computation.
    Layers with a sliding window or a fixed state need less cache.
    """
    if model is None:
        yield "memory: not known without config.json, or plan.parameters and plan.cache_bytes"
        return
    plan, count, many = config.plan, model.parameters, config.max_concurrency
    yield f"model: {count:,} parameters, from {model.location or '[plan]'}"
    each = model.stored if config.training.lora else ADAM
    yield f"training: {each} bytes x {count:,} = {shared(each * count, trainers)}"

    weights = model.stored * count
    most = min(config.limits.max_tokens, model.longest or config.limits.max_tokens)
    usual = min(most, max(plan.thought or 0, plan.start_thought or 0)) or most
    for tokens in sorted({usual, most}):
        cached = many * tokens * model.cache_bytes
        terms = f"weights {gib(weights)} + {many} x {tokens:,} tokens x {model.cache_bytes:,} bytes"
        yield f"rollouts: {terms} = {shared(weights + cached, plan.rollout_devices)}"


def shared(count: float, devices: int) -> str:
    """A number of bytes, and how many of them each device holds."""
    return f"{gib(count)} / {devices} devices = {gib(count / devices)} each"


def gib(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"


# Checks


def check_lengths(config: Config, base: Model) -> str:
    longest, length = base.longest, config.training.max_length
    if longest and length > longest:
        raise ConfigError(f"training.max_length={length} is more than its context of {longest}")
    return f"{config.base}, context {longest or 'unknown'}, training.max_length={length}"


def check_tokenizer(tokenizer: HFTokenizer) -> str:
    """The prompt keeps a question whole and begins the model's turn, which can think and end."""
    found = check_format(tokenizer)
    aside = ("a second turn", "a system message")  # a run has neither
    if problems := [problem for problem in found.problems if not problem.startswith(aside)]:
        raise ConfigError("; ".join(problems))
    prompt = tokenizer.decode(tokenizer.render([Message(role="user", content=QUESTION.question)]))
    if any(prompt.rstrip().endswith(end) for _, end in found.eos):
        raise ConfigError("the chat template ends a turn: it must support add_generation_prompt")
    return f"{found.format}, opened by {found.opening or 'nobody'}, ends with {dict(found.eos)}"


def check_joins(config: Config, tokenizer: HFTokenizer) -> str:
    """Hints and outputs, spliced as ids into a thought, decode to the text that they are."""
    format, hinted = detect(tokenizer), config.hinted.hints
    texts = {"an output": format.joiner(THOUGHT, "line") + format.show_output("84")}
    problems = {"debug": PROGRAM}
    hints = [hint_of(n, problems.get(n, QUESTION), config, config.seed) for n in hinted]
    for hint in (*hints, *round_hints(max(1, config.evaluation.rounds))):
        for position in hint.positions:
            after_word = position == "connective"
            joiner = format.joiner(THOUGHT, "connective" if after_word else "paragraph")
            text = hint.text if after_word else hint.opening + hint.text
            texts[f"hint {hint.id}, {position}"] = joiner + text
    for name, text in texts.items():
        if tokenizer.decode(tokenizer.encode(THOUGHT) + tokenizer.encode(text)) != THOUGHT + text:
            raise ConfigError(f"{name}: encoding and decoding do not restore the text")
    return f"{len(texts)} hints and outputs decode to what they are"
