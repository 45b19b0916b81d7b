"""What a run takes, and whether it can start, found out without weights and data sets of the hub.

`recipes.reproduce --plan` prints the tokens and device-hours of each step, the memory of training
and rollouts, and a line per check: `ok`, `broken`, or `not checked` with the reason. The estimates
use the config's `[plan]`; missing values are as large as possible.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeVar

from recipes import policies
from recipes.config import Config
from recipes.data import training_problems
from recipes.problems import held_out
from recipes.suites import SOURCES, SUITES, CodeProblem, Problem
from recipes.training import passes
from start_sdk import ConfigError, Message, ModelError, StartError, models, plugins
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.cli import say
from start_sdk.formats import check_format, detect
from start_sdk.models import hub

ADAM = 16  # bytes of a trained parameter: its weight, gradient and two moments, in float32
CODE = ("codeforces", "code_contests", "livecodebench")  # sources, and a suite, of programs
TAUGHT = tuple(f"eval-{name}" for name in ("start-0", "start", "unselected", "masked", "longer"))
ROUNDS = ("rounds-base", "rounds-start")
QUESTION = Problem("plan", "What is 84719 times 9317?", "789326923")
PROGRAM = CodeProblem("plan", "Double a number.", "", samples=(("2", "4"),))
Found = TypeVar("Found")
Sizes = Counter[str]  # problems, by source or by family
Estimates = dict[str, tuple[str, float]]  # by step: what it takes, and its tokens in all
online = cache(hub.online)


def plan(config: Config, steps: Sequence[str]) -> int:
    """Prints what the steps of a run take (`recipes.reproduce.names`), and what the checks find.

    Returns:
        the exit status: 0, or 2 if something is broken.
    """
    checks = Checks()
    if model := checks("base model", partial(read_base, config)):
        checks("tokenizer", partial(check_tokenizer, config))
    checks("hints", partial(check_hints, config))
    training, held = Sizes(), Sizes()
    for text in config.problems.sources:
        checks(f"problems {text}", partial(count_source, text, config, training))
    for name in config.evaluation.suites:
        checks(f"suite {name}", partial(count_suite, name, config, held))
    checks("backend", partial(plugins.load, "backends", config.backend))
    plan = config.plan
    trainers = checks("training", partial(check_training, config)) or plan.training_devices
    counts = ", ".join(f"{name} {size:,}" for name, size in training.items())
    say(f"{training.total():,} problems: {counts}\n")
    sampled, trained = sampling(config, training, held), learning(config, training.total())
    for kind, known, speed, devices in (
        ("sampled", sampled, plan.rollout_speed, plan.rollout_devices),
        ("trained", trained, plan.training_speed, trainers),
    ):
        rows = {step: known[step] for step in steps if step in known}
        say("\n".join([*table(kind, rows, speed, devices), ""]))
    say("\n".join([*memory(config, model, trainers), ""]))
    for state, about in checks.lines:
        say(f"{state:13}{about}", error=state == "broken")
    return 2 if any(state == "broken" for state, _ in checks.lines) else 0


class NotHere(StartError):
    """This machine does not have something and cannot fetch it now; another machine may."""


class Checks:
    """Looks things up, and notes how that went; no failure stops the others."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, look: Callable[[], Found]) -> Found | None:
        """What `look` finds, if it does not fail."""
        found, state, about = None, "ok", name
        try:
            found = look()
        except (NotHere, ImportError, TimeoutError) as error:  # another machine may have it
            state, about = "not checked", f"{name}: {error}"
        except StartError as error:
            state, about = "broken", f"{name}: {error}"
        except Exception as error:  # a boundary: libraries and rows of files raise anything
            line = str(error).strip().partition("\n")[0]
            state, about = "broken", f"{name}: {type(error).__name__}: {line}"
        self.lines.append((state, about))
        return found


class Model(NamedTuple):
    """The size of the base model."""

    parameters: int
    cache_bytes: int  # of the keys and values of a token
    stored: int = 2  # bytes of a weight in its file


def read_base(config: Config) -> Model:
    """The size of the base model, from its config.json on PyTorch's meta device."""
    name, length = config.base, config.training.max_length
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
    shape, stored = found.get_text_config(), model.dtype.itemsize
    longest = getattr(shape, "max_position_embeddings", None) or length
    if length > longest:
        raise ConfigError(f"training.max_length={length} is more than its context of {longest}")
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    size = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    cache_bytes = shape.num_hidden_layers * 2 * heads * size * stored
    return Model(model.num_parameters(), cache_bytes, stored)


def check_tokenizer(config: Config) -> None:
    """The prompt begins the model's turn, which can think and end; spliced ids are their text."""
    tokenizer = load_tokenizer(config.base)
    found = check_format(tokenizer)
    aside = ("a second turn", "a system message")  # a run has neither
    if problems := [problem for problem in found.problems if not problem.startswith(aside)]:
        raise ConfigError("; ".join(problems))
    prompt = tokenizer.decode(tokenizer.render([Message(role="user", content=QUESTION.question)]))
    if any(prompt.rstrip().endswith(end) for _, end in found.eos):
        raise ConfigError("the chat template ends a turn: it must support add_generation_prompt")
    output, thought = detect(tokenizer).show_output("84"), tokenizer.encode(QUESTION.question)
    for text in (output, *(hint.opening + hint.text for hint in policies.library(config))):
        if tokenizer.decode(thought + tokenizer.encode(text)) != QUESTION.question + text:
            raise ConfigError(f"encoding and decoding do not restore {text!r}")


def check_hints(config: Config) -> None:
    """All policies are known, with their hints."""
    anew = [*config.plain.hints, *config.text.hints, *config.sampled.hints]
    if config.evaluation.samples > 1:  # Hint-infer then begins new thoughts
        anew += config.hinted.hints
    policies.check(config.hinted.hints, config, (QUESTION, PROGRAM), staged=True)
    policies.check(anew, config, (QUESTION, PROGRAM), staged=False)


def count_source(text: str, config: Config, sizes: Sizes) -> None:
    """The training problems of a source; on the hub, those of `take`, or as many as the paper's."""
    if source := SOURCES.get(text):
        sizes[text] = config.problems.take.get(text) or source.paper
        check_access(source.path)
    else:
        alone = config.problems.model_copy(update={"sources": (text,)})
        sizes[text] = len(training_problems(config.model_copy(update={"problems": alone})))


def count_suite(name: str, config: Config, sizes: Sizes) -> None:
    """The problems of a suite, by family."""
    if suite := SUITES.get(name):
        sizes[name] = suite.size
        check_access(suite.path)
    else:
        alone = config.evaluation.model_copy(update={"suites": (name,)})
        sizes.update(problem.family for problem in held_out(alone, config.problems.families))


def check_access(path: str) -> None:
    """The hub gives a data set to this account; one is gated."""
    if not online():
        raise NotHere(f"{path}: the hub cannot be reached")
    from huggingface_hub import HfApi

    hub.within(hub.SECONDS, lambda: HfApi().auth_check(path, repo_type="dataset"))


def check_training(config: Config) -> int:
    """How many processes train together: they can share a step, and have what they need."""
    options, processes = config.training, config.plan.training_devices
    if options.accelerate:
        from accelerate.commands.config.config_args import load_config_from_file

        launched: Any = load_config_from_file(options.accelerate)
        processes = int(launched.num_processes)
    passes(options, options.batch, "training.batch", processes)
    flash = ["flash_attn"] if options.attention.startswith("flash_attention") else []
    if missing := [name for name in ("trl", *flash) if find_spec(name) is None]:
        raise NotHere(f"not installed here: {', '.join(missing)}")
    return processes


def tokens_of_thoughts(config: Config) -> list[int]:
    """Of the base model, of its continuation after a hint, and of a trained model."""
    plan, most = config.plan, config.limits.max_tokens
    return [min(n or most, most) for n in (plan.thought, plan.hinted_thought, plan.start_thought)]


def sampling(config: Config, training: Sizes, held: Sizes) -> Estimates:
    """The steps that sample: a thought for each problem, policy that fits it, and sample."""
    base, hinted, start = tokens_of_thoughts(config)
    options, samples = config.evaluation, config.evaluation.samples
    wrong = 1 - config.plan.correct if config.hinted.only_wrong else 1
    left = Sizes({name: round(size * wrong) for name, size in training.items()})
    few = Sizes({family: min(size, options.rounds_n) for family, size in held.items()})
    before = base if samples > 1 else 0  # a single thought is the one of eval-base

    def thoughts(sizes: Sizes, tokens: int, samples: int, *hints: str) -> tuple[str, float]:
        made = 0
        for name, size in sizes.items():
            problem = PROGRAM if name.partition("=")[0] in CODE else QUESTION
            made += size * samples * sum(policies.fits(hint, problem) for hint in hints)
        return f"{made:,} thoughts x {tokens:,} tokens", made * tokens

    return {
        "plain": thoughts(training, base, config.plain.samples, *config.plain.hints),
        "hinted": thoughts(left, hinted, config.hinted.samples, *config.hinted.hints),
        "text": thoughts(training, base, config.text.samples, *config.text.hints),
        "sampled": thoughts(training, start, config.sampled.samples, *config.sampled.hints),
        "eval-base": thoughts(held, base, samples, "none", "no-tool"),
        "eval-hinted": thoughts(held, before + hinted, samples, *config.hinted.hints),
        "eval-text-rft": thoughts(held, base, samples, "none"),
        **dict.fromkeys(TAUGHT, thoughts(held, start, samples, "none")),
        **dict.fromkeys(ROUNDS, thoughts(few, hinted, options.rounds, "none")),
    }


def learning(config: Config, problems: int) -> Estimates:
    """The steps that train: rows x tokens of a row x epochs."""
    base, hinted, start = tokens_of_thoughts(config)
    plan, options, size = config.plan, config.training, config.start_data.size

    def data(share: float, most: int | None, tokens: int) -> tuple[int, int]:
        rows = min(round(share * problems), most or problems)
        return rows, min(tokens + plan.spliced, options.max_length)  # longer ones are left out

    def training(rows: int, tokens: int, times: float = 1) -> tuple[str, float]:
        epochs = times * options.epochs
        about = f"{rows:,} rows x {tokens:,} tokens x {epochs:.4g} epochs"
        return about, rows * tokens * epochs

    wrong = 1 - plan.correct if config.seed_data.rescued else 1
    seed = data(min(plan.seed_share, wrong), config.seed_data.size, base + hinted)
    d_start, text = data(plan.start_share, size, start), data(plan.text_share, size, base)
    as_start = math.prod(d_start) / max(1, math.prod(text))  # as many tokens as START
    return {
        **dict.fromkeys(("start-0", "unselected", "masked"), training(*seed)),
        "longer": training(*seed, 2),
        "start": training(*d_start),
        "text-rft": training(*text, as_start),
    }


def table(kind: str, rows: Estimates, speed: float | None, devices: int) -> Iterator[str]:
    """A line per step, their sum, and the hours if they run one after another."""

    def hours(tokens: float) -> str:
        return f"{tokens / speed / 3600:,.2f}" if speed else "?"

    line = "{:15}  {:42}  {:>14}  {:>12}"
    yield line.format("step", "", f"tokens {kind}", "device-hours")
    for step, (about, tokens) in rows.items():
        yield line.format(step, about, f"{tokens:,.0f}", hours(tokens))
    total = sum(tokens for _, tokens in rows.values())
    about = f"{devices} devices: {hours(total / devices)} hours"
    yield line.format("together", about, f"{total:,.0f}", hours(total))


def memory(config: Config, model: Model | None, trainers: int) -> Iterator[str]:
    """The memory of training and rollouts, without activations, logits, adapters and gathered
    layers; ZeRO-3 and FSDP split a training over its devices."""
    plan, many = config.plan, config.max_concurrency
    if model is None and plan.parameters and plan.cache_bytes:
        model = Model(plan.parameters, plan.cache_bytes)
    if model is None:
        yield "memory: not known without config.json, or plan.parameters and plan.cache_bytes"
        return
    count, cached, stored = model
    each = stored if config.training.lora else ADAM
    yield f"training: {each} bytes x {count:,} parameters = {shared(each * count, trainers)}"
    base, _, start = tokens_of_thoughts(config)
    for tokens in sorted({max(base, start), config.limits.max_tokens}):
        terms = f"{stored} bytes x {count:,} + {many} x {tokens:,} tokens x {cached:,} bytes"
        needed = shared(stored * count + many * tokens * cached, plan.rollout_devices)
        yield f"rollouts: {terms} = {needed}"


def shared(count: float, devices: int) -> str:
    """A number of bytes, and how many of them each device holds."""
    gib = count / 2**30
    return f"{gib:,.2f} GiB / {devices} devices = {gib / devices:,.2f} GiB each"
