"""The problems that an evaluation names: on a command line, or in a config."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

from recipes import reasoning_gym, suites
from recipes.config import Config
from recipes.settings import Evaluation
from recipes.suites import CodeProblem, Problem
from recipes.tiny.families import GROUPS
from recipes.tiny.world import Split
from start_sdk import ConfigError
from start_sdk.grading import livecodebench

PROMPTS = {"tiny": "plain", "reasoning_gym": "plain", "livecodebench": "livecodebench"}
"""How a suite is asked unless the command line says otherwise; others with a wish for a box."""
DRAWN = ("tiny", "reasoning_gym")
"""Suites that a seed draws."""
KNOWN = ", ".join((*DRAWN, *suites.SUITES))


def add_options(parser: argparse.ArgumentParser, **usual: Any) -> None:
    """The options that name problems; `usual` has the program's own defaults."""
    add, drawn = parser.add_argument, " and ".join(DRAWN)
    add("--suite", help=f"{KNOWN}, livecodebench, or a file")
    add("--n", type=int, help=f"problems (of {drawn}: of each family and seed, default 20)")
    add("--families", choices=GROUPS, default="all", help="of the suite tiny")
    add("--split", choices=get_args(Split), default="test", help="of reasoning_gym")
    add("--seeds", type=int, nargs="+", help=f"that draw those of {drawn} (default: --seed)")
    add("--data", type=Path, nargs="+", default=[], metavar="FILE", help="files of livecodebench")
    add("--since", type=date.fromisoformat, metavar="DATE", help="of livecodebench: first contest")
    add("--until", type=date.fromisoformat, metavar="DATE", help="last contest, inclusive")
    sizes = "check the sizes of livecodebench's files"
    add("--release", choices=livecodebench.RELEASES, default="", help=sizes)
    parser.set_defaults(**usual)


def chosen(options: argparse.Namespace, config: Config) -> tuple[list[Problem], dict[str, Any]]:
    """The problems that the options name, and what a report says of them.

    Raises:
        ConfigError: no suite, or one that cannot be read.
    """
    suite, n = options.suite, options.n
    if suite is None:
        raise ConfigError(f"--suite is required: {KNOWN}, or a file")
    if n is not None and n < 1:
        raise ConfigError("--n must be at least 1")
    if suite in DRAWN:
        by = {"families": options.families} if suite == "tiny" else {"split": options.split}
        size = {"n": n or 20, "seeds": options.seeds or [config.seed]}
        found = drawn(suite, config.evaluation.model_copy(update=size), **by)
        return found, {"suite": suite, **by, **size}
    if suite == "livecodebench":
        bounds = {name: getattr(options, name) for name in ("since", "until", "release")}
        found = programs(options.data, **bounds)[:n]
        about = {name: str(value) for name, value in bounds.items() if value}
        files = ", ".join(file.name for file in options.data)
        return found, {"suite": suite, "data": files, "problems": len(found), **about}
    return suites.load(suite)[:n], {"suite": suite, **({"n": n} if n else {})}


def held_out(evaluation: Evaluation, families: str) -> list[Problem]:
    """The problems that a run of Hint-RFT is evaluated on; each suite is a family of its own, but
    tiny and reasoning_gym, which have several."""
    found: list[Problem] = []
    for suite in evaluation.suites:
        if suite in DRAWN:
            found += drawn(suite, evaluation, families)
            continue
        name, _, texts = suite.partition("=")
        files = [Path(text) for text in texts.split(",") if text]
        some = programs(files) if name == "livecodebench" else suites.load(suite)
        found += [replace(problem, family=suite) for problem in some]
    return found


def drawn(
    suite: str, evaluation: Evaluation, families: str = "all", split: Split = "test"
) -> list[Problem]:
    """The problems of `tiny` or `reasoning_gym` that all seeds draw."""
    found: list[Problem] = []
    for seed in evaluation.seeds:
        if suite == "tiny":
            found += suites.tiny(GROUPS[families], evaluation.n, seed)
        else:
            found += reasoning_gym.draw(evaluation.levels, split, evaluation.n, seed)
    return found


def programs(files: Sequence[Path], **bounds: Any) -> list[Problem]:
    """LiveCodeBench's problems, chosen as by its `load`; the difficulty is the family."""
    if not files:
        raise ConfigError("livecodebench needs its files: --data FILE, or livecodebench=FILE,FILE")
    return [
        CodeProblem(**task.model_dump(exclude={"difficulty"}), gold="", family=task.difficulty)
        for task in livecodebench.load(files, **bounds)
    ]
