"""Estimates what a run takes and checks whether it can start, without loading weights.

    python -m recipes.plan --config recipes/configs/qwq-32b.toml
    python -m recipes.plan --config recipes/configs/tiny.toml --set sampled.samples=16

Prints what each stage samples and trains on, in tokens and device-hours, the memory of training and
rollouts, and a line per check: `ok`, `broken` (then the exit code is 2), or `not checked` with the
reason. The estimates use the config's `[plan]`; missing values default to the largest possible
ones. `recipes.reproduce --plan` includes the evaluations.

Of a model on the hub, only its config and tokenizer are fetched; of data sets there, nothing.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import NamedTuple, TypeVar

from recipes import base_model
from recipes.base_model import PROGRAM, QUESTION, Model, NotHere, online, read_base
from recipes.command import command_line, given, program
from recipes.config import Config
from recipes.data import training_problems
from recipes.policies import check, fits
from recipes.problems import held_out
from recipes.reproduce import names
from recipes.settings import RolloutConfig
from recipes.suites import SOURCES, SUITES
from recipes.training import check_training, read_processes
from start_sdk import StartError, plugins
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.cli import say
from start_sdk.models import hub

CODE = ("codeforces", "code_contests", "livecodebench")  # sources, and a suite, of programs
TAUGHT = ("start-0", "start", "unselected", "masked", "longer")  # models that call Python
Found = TypeVar("Found")
Sizes = dict[str, int]
"""Problems, by source or by family."""


def plan(config: Config, steps: Sequence[str]) -> int:
    """Prints what the steps of a run take, and what the checks find.

    Args:
        config: the run.
        steps: names of what runs, in order (`recipes.reproduce.names`).

    Returns:
        the exit status: 0, or 2 if something is broken.
    """
    # What the estimates use is looked up once; if that fails, a check will say why.
    base, processes = cache(partial(read_base, config)), cache(partial(read_processes, config))
    tokenizer = cache(lambda: load_tokenizer(base().location))
    sources = {text: cache(partial(source_sizes, text, config)) for text in config.problems.sources}
    suites = {name: cache(partial(suite_sizes, name, config)) for name in config.evaluation.suites}

    training, held = found_in(sources), found_in(suites)
    trainers = found_or(config.plan.training_devices, processes)
    size, cache_bytes = config.plan.parameters, config.plan.cache_bytes
    model = found_or(Model(size, cache_bytes) if size and cache_bytes else None, base)
    known = sampling(config, training, held) | learning(config, sum(training.values()))
    estimates = {step: known.get(step, Estimate()) for step in steps}
    counts = ", ".join(f"{name} {size:,}" for name, size in training.items())
    say(f"{sum(training.values()):,} problems: {counts}\n")
    say("\n".join([*table(config, estimates, trainers), ""]))
    say("\n".join([*base_model.memory(config, model, trainers), ""]))

    launched = config.training.accelerate or "one process"
    checks: dict[str, Callable[[], str]] = {
        "base model": lambda: base_model.check_lengths(config, base()),
        "tokenizer": lambda: base_model.check_tokenizer(tokenizer()),
        "joins": lambda: base_model.check_joins(config, tokenizer()),
        "hints": lambda: check_hint_names(config),
        **{f"problems {text}": partial(check_data, text, look) for text, look in sources.items()},
        **{f"suite {name}": partial(check_data, name, look) for name, look in suites.items()},
        "backend": lambda: f"{plugins.load('backends', config.backend).__name__} can be imported",
        f"training ({launched})": lambda: check_training(config, processes()),
    }
    return report(checks)


def found_or(otherwise: Found, look: Callable[[], Found]) -> Found:
    """What a look-up finds, or something else if it fails."""
    with suppress(Exception):
        return look()
    return otherwise


def source_sizes(text: str, config: Config) -> Sizes:
    """The training problems of a source; on the hub, those of `take`, or as many as the paper's."""
    if text in SOURCES:
        return {text: config.problems.take.get(text) or SOURCES[text].paper}
    alone = config.problems.model_copy(update={"sources": (text,)})
    return {text: len(training_problems(config.model_copy(update={"problems": alone})))}


def suite_sizes(name: str, config: Config) -> Sizes:
    """The problems of a suite, by family."""
    if name in SUITES:
        return {name: SUITES[name].size}
    alone = config.evaluation.model_copy(update={"suites": (name,)})
    return Counter(p.family for p in held_out(alone, config.problems.families))


def found_in(looks: Mapping[str, Callable[[], Sizes]]) -> Sizes:
    return {k: n for look in looks.values() for k, n in found_or(dict[str, int](), look).items()}


def by_kind(sizes: Sizes) -> list[int]:
    """How many problems are like QUESTION, and how many like PROGRAM."""
    code = sum(size for name, size in sizes.items() if name.partition("=")[0] in CODE)
    return [sum(sizes.values()) - code, code]


# Estimates: tokens and hours


class Estimate(NamedTuple):
    """What a step takes; one that needs no device, such as a curation, has no tokens."""

    about: str = ""
    sampled: float = 0
    trained: float = 0
    steps: int = 0


def tokens_of_thoughts(config: Config) -> list[int]:
    """Of the base model, of its continuation after a hint, and of a trained model."""
    plan, most = config.plan, config.limits.max_tokens
    thoughts = (plan.thought, plan.hinted_thought, plan.start_thought)
    return [min(tokens or most, most) for tokens in thoughts]


def sampling(config: Config, training: Sizes, tested: Sizes) -> dict[str, Estimate]:
    """The steps that sample: a thought for each problem, policy that fits it, and sample."""
    base, hinted, start = tokens_of_thoughts(config)
    options, problems, held = config.evaluation, by_kind(training), by_kind(tested)
    wrong = 1 - config.plan.correct if config.hinted.only_wrong else 1
    few = by_kind({family: min(n, options.rounds_n) for family, n in tested.items()})
    plain = RolloutConfig(samples=options.samples)
    hint_infer = plain.model_copy(update={"hints": config.hinted.hints})
    both = plain.model_copy(update={"hints": ("none", "no-tool")})
    before = base if options.samples > 1 else 0  # a single thought is the one of eval-base
    rounds = plain.model_copy(update={"samples": options.rounds})

    def thoughts(part: RolloutConfig, counts: Sequence[int], tokens: int) -> Estimate:
        kinds = zip(counts, (QUESTION, PROGRAM), strict=True)
        hints = sum(n * sum(fits(hint, kind) for hint in part.hints) for n, kind in kinds)
        made = hints * part.samples
        return Estimate(f"{made:,} thoughts x {tokens:,} tokens", sampled=made * tokens)

    return {
        "plain": thoughts(config.plain, problems, base),
        "hinted": thoughts(config.hinted, [round(n * wrong) for n in problems], hinted),
        "text": thoughts(config.text, problems, base),
        "sampled": thoughts(config.sampled, problems, start),
        "eval-base": thoughts(both, held, base),
        "eval-hinted": thoughts(hint_infer, held, before + hinted),
        "eval-text-rft": thoughts(plain, held, base),
        **{f"eval-{name}": thoughts(plain, held, start) for name in TAUGHT},
        "rounds-base": thoughts(rounds, few, hinted),
        "rounds-start": thoughts(rounds, few, hinted),
    }


def learning(config: Config, problems: int) -> dict[str, Estimate]:
    """The training sets, and the steps that train on them: rows x tokens of a row x epochs."""
    base, hinted, start = tokens_of_thoughts(config)
    plan, options, size = config.plan, config.training, config.start_data.size

    def data(share: float, most: int | None, tokens: int) -> tuple[int, int]:
        rows = min(round(share * problems), most or problems)
        return rows, min(tokens + plan.spliced, options.max_length)  # longer ones are left out

    wrong = 1 - plan.correct if config.seed_data.rescued else 1
    d_seed = data(min(plan.seed_share, wrong), config.seed_data.size, base + hinted)
    d_start, d_text = data(plan.start_share, size, start), data(plan.text_share, size, base)
    as_start = math.prod(d_start) / max(1, math.prod(d_text))

    def training(rows: int, tokens: int, epochs: float = options.epochs) -> Estimate:
        packed = max(1, options.max_length // tokens) if options.packing else 1
        steps = math.ceil(epochs * math.ceil(math.ceil(rows / packed) / options.batch))
        about = f"{rows:,} rows x {tokens:,} tokens x {epochs:.4g} epochs"
        return Estimate(about, trained=rows * tokens * epochs, steps=steps)

    return {
        "d-seed": Estimate(f"{d_seed[0]:,} rows"),
        "start-0": training(*d_seed),
        "d-start": Estimate(f"{d_start[0]:,} rows"),
        "start": training(*d_start),
        "d-text": Estimate(f"{d_text[0]:,} rows"),
        "text-rft": training(*d_text, options.epochs * as_start),  # as many tokens as START
        "d-unselected": Estimate(f"{d_seed[0]:,} rows"),  # as many as D_seed
        "unselected": training(*d_seed),
        "masked": training(*d_seed),
        "longer": training(*d_seed, 2 * options.epochs),
    }


def table(config: Config, estimates: Mapping[str, Estimate], trainers: int) -> Iterator[str]:
    """A line per step, their sums, and the hours if the steps run one after another."""
    plan, line = config.plan, "{:15}  {:42}  {:>14}  {:>14}  {:>6}  {:>12}"
    yield line.format("stage", "thoughts or rows", "sampled", "trained", "steps", "device-hours")
    sums = [sum(column) for column in zip(*(e[1:] for e in estimates.values()), strict=True)]
    for step, e in {**estimates, "together": Estimate("", *sums)}.items():
        counts = [f"{count:,.0f}" if count else "" for count in e[1:]]
        sampled = hours(e.sampled, plan.rollout_speed)
        trained = hours(e.trained, plan.training_speed)
        both = shown(sampled + trained) if sampled or trained else ""
        yield line.format(step, e.about, *counts, both).rstrip()
    together = shown(sampled / plan.rollout_devices + trained / trainers)
    sampling = f"{shown(sampled)} / {plan.rollout_devices} devices that sample"
    yield f"hours: {sampling} + {shown(trained)} / {trainers} that train = {together}"


def hours(tokens: float, speed: float | None) -> float:
    """Of one device; NaN if no speed is known."""
    return tokens and tokens / (speed or math.nan) / 3600


def shown(hours: float) -> str:
    return "?" if math.isnan(hours) else f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


# Checks


def report(checks: Mapping[str, Callable[[], str]]) -> int:
    """Prints a line per check; none stops the others, and each error is said once."""
    said: dict[str, tuple[str, str]] = {}
    for name, look in checks.items():
        state, about = outcome(look)
        if state != "ok" and about in said:
            state, about = "not checked", f"as {said[about][1]}, above"
        said.setdefault(about, (state, name))
        say(f"{state:13}{name}: {about}")
    broken = [(name, about) for about, (state, name) in said.items() if state == "broken"]
    for name, about in broken:
        say(f"broken: {name}: {about}", error=True)
    return 2 if broken else 0


def outcome(look: Callable[[], str]) -> tuple[str, str]:
    """The state of a check, and what there is to say about it."""
    try:
        return "ok", look()
    except (NotHere, ImportError, TimeoutError) as error:  # another machine may have it
        return "not checked", str(error)
    except StartError as error:
        return "broken", str(error)
    except Exception as error:  # a boundary: libraries and rows of files raise anything
        return "broken", type(error).__name__ + ": " + str(error).strip().partition("\n")[0]


def check_hint_names(config: Config) -> str:
    problems, hinted = (QUESTION, PROGRAM), config.hinted.hints
    check(hinted, config, problems, staged=True)
    if config.evaluation.samples > 1:  # Hint-infer then generates new thoughts
        check(hinted, config, problems, staged=False)
    anew = [*config.plain.hints, *config.text.hints, *config.sampled.hints]
    check(anew, config, problems, staged=False)
    return ", ".join(hinted)


def check_data(name: str, look: Callable[[], Sizes]) -> str:
    """A file of problems can be read; the hub gives a data set to this account (one is gated)."""
    problems = f"{sum(look().values()):,} problems"
    if name not in {*SOURCES, *SUITES}:
        return problems
    path = SOURCES[name].path if name in SOURCES else SUITES[name].path
    if not online():
        raise NotHere(f"{path}: the hub cannot be reached")
    from huggingface_hub import HfApi

    hub.within(hub.SECONDS, lambda: HfApi().auth_check(path, repo_type="dataset"))
    return f"{problems}, {path} on the hub"


def main() -> int:
    """The plan of Hint-RFT; 2 for bad input or something broken, 130 for Ctrl-C."""
    parser = command_line("recipes.plan", __doc__, needs_config=True)

    def body() -> int:
        config = given(parser.parse_args())
        steps = (name for name in names(config) if not name.startswith(("eval-", "rounds-")))
        return plan(config, list(steps))

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
