"""The problems that an evaluation names: on a command line, or in a config."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

from recipes import livecodebench, reasoning_gym, suites
from recipes.config import Config
from recipes.livecodebench import Selection
from recipes.settings import Evaluation
from recipes.suites import Problem
from recipes.tiny.families import GROUPS
from recipes.tiny.world import Split
from start_sdk import ConfigError

PROMPTS = {"tiny": "plain", "reasoning_gym": "plain", "livecodebench": "livecodebench"}
"""How a suite is asked unless the command line says otherwise; others with a wish for a box."""
DRAWN = "tiny, reasoning_gym"
"""Suites that a seed draws."""


def add_options(parser: argparse.ArgumentParser, **usual: Any) -> None:
    """The options that name problems; `usual` has the program's own defaults."""
    add = parser.add_argument
    add("--suite", help=f"{DRAWN}, {', '.join(suites.SUITES)}, livecodebench, or a file")
    add("--n", type=int, help=f"problems (of {DRAWN}: of each family and seed, default 20)")
    add("--families", choices=GROUPS, default="all", help="of the suite tiny")
    add("--split", choices=get_args(Split), default="test", help="of reasoning_gym")
    add("--seeds", type=int, nargs="+", help=f"that draw those of {DRAWN} (default: --seed)")
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
        raise ConfigError(f"--suite is required: {DRAWN}, {', '.join(suites.SUITES)}, or a file")
    if n is not None and n < 1:
        raise ConfigError("--n must be at least 1")
    seeds = options.seeds or [config.seed]
    if suite == "tiny":
        families = options.families
        about = {"suite": suite, "families": families, "n": n or 20, "seeds": seeds}
        drawn = [suites.tiny(GROUPS[families], n or 20, seed) for seed in seeds]
        return [problem for some in drawn for problem in some], about
    if suite == reasoning_gym.NAME:
        levels, split = config.evaluation.levels, options.split
        about = {"suite": suite, "split": split, "n": n or 20, "seeds": seeds}
        drawn = [reasoning_gym.draw(levels, split, n or 20, seed) for seed in seeds]
        return [problem for some in drawn for problem in some], about
    if suite == "livecodebench":
        if not options.data:
            raise ConfigError("--suite livecodebench needs its files: --data test4.jsonl")
        files = Selection(tuple(options.data), options.since, options.until, options.release)
        found = livecodebench.load(files)[:n]
        return list(found), {"suite": suite, **livecodebench.about(files, len(found))}
    return load(suite)[:n], {"suite": suite, **({"n": n} if n else {})}


def load(name: str) -> list[Problem]:
    """The problems of a suite: as `suites.load`, or `livecodebench=FILE,FILE`."""
    suite, _, files = name.partition("=")
    if suite != "livecodebench":
        return suites.load(name)
    if not files:
        raise ConfigError("livecodebench needs its files: livecodebench=test4.jsonl,test5.jsonl")
    return list(livecodebench.load(Selection(tuple(map(Path, files.split(","))))))


def held_out(evaluation: Evaluation, families: str) -> list[Problem]:
    """The problems that a run of Hint-RFT is evaluated on; each suite is a family of its own, but
    tiny and reasoning_gym, which have several."""
    found: list[Problem] = []
    for suite in evaluation.suites:
        if suite == "tiny":
            for seed in evaluation.seeds:
                found += suites.tiny(GROUPS[families], evaluation.n, seed)
        elif suite == reasoning_gym.NAME:
            for seed in evaluation.seeds:
                found += reasoning_gym.draw(evaluation.levels, "test", evaluation.n, seed)
        else:
            found += [replace(problem, family=suite) for problem in load(suite)]
    return found
