"""Reproduces START: from a base model to START, its controls, and a report.

    python -m recipes.reproduce --config recipes/configs/tiny.toml --out runs/tiny-0
    python -m recipes.reproduce --config recipes/configs/qwq-32b.toml --plan
    python -m recipes.reproduce --pool runs/tiny-0 runs/tiny-1 runs/tiny-2 --out runs/tiny

The base model is rolled out without and with hints. The traces whose answers the hints corrected
become D_seed; the base model trained on D_seed is START-0. START-0 samples every problem; one trace
per problem becomes D_START, and the base model, from its original weights, trained on it is START.

The setting `controls` adds controls: `text`, rejection sampling without a tool on the same
problems, trained on as many tokens as START; `unselected`, the same amount of seed data, whether or
not the model needed the hint (table 7 of the EMNLP version); `masked`, D_seed with hints excluded
from the loss; `longer`, START-0 trained twice as long. Then every model is evaluated on held-out
problems, the base model also without a tool and with hints, and base and START with rounds of
hints. The report has the form of the paper's table 1 (report.md, report.json, report.png).

Every step has a folder in --out; the same command resumes an interrupted run and skips finished
steps. The steps are also programs: recipes.rollout, recipes.hint_rft, recipes.train_sft,
recipes.evaluate. `--plan` only estimates what a run takes and checks what can be checked without
weights. `--pool` makes one report from several seeds of one config.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recipes.command import command_line, given, out_of, program
from recipes.config import Config, read_config
from recipes.plan import plan
from recipes.reproduce import chain, names
from recipes.reproduce.report import markdown, write_report
from recipes.reproduce.steps import do
from start_sdk import ConfigError
from start_sdk.cli import say

CONFIG = "config.json"
ASIDE = {"seed", "max_concurrency", "servers", "plan", "grpo"}
"""Of a config, what may differ between the runs of one report."""


def reproduce(config: Config, out: Path) -> None:
    """Does what is not done yet, and prints the report and what the steps took."""
    seconds = do(chain(config, out), config, out)
    (out / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    say(markdown(write_report([(config, out)], out / "report")))
    say(", ".join(f"{name} {took:.0f} s" for name, took in seconds.items()))
    say(f"In all {sum(seconds.values()) / 60:.1f} minutes.")


def pool(folders: list[Path], out: Path) -> None:
    """One report of several finished runs.

    Raises:
        ConfigError: a folder holds no finished run, or their configs differ in more than the seed.
    """
    runs = [(read_config(folder / CONFIG), folder) for folder in folders]
    if len({config.model_dump_json(exclude=ASIDE) for config, _ in runs}) > 1:
        raise ConfigError("--pool: the runs differ in more than their seeds")
    say(markdown(write_report(runs, out)))


def main() -> int:
    """The run; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.reproduce", __doc__)
    add = parser.add_argument
    add("--plan", action="store_true", help="print an estimate and checks, and exit")
    add("--pool", nargs="+", type=Path, metavar="FOLDER", help="make one report of several runs")
    options = parser.parse_args()
    return program(parser, lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """What the command line asks for."""
    if options.pool:
        pool(options.pool, out_of(options))
    elif options.config is None:
        raise ConfigError("--config or --pool is required")
    elif options.plan:
        config = given(options)
        return plan(config, names(config))
    else:
        reproduce(given(options), out_of(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
