"""Reproduces START: from a base model to START, its controls, and a report.

    python -m recipes.reproduce --config recipes/configs/tiny.toml --out runs/tiny-0
    python -m recipes.reproduce --config recipes/configs/qwq-32b.toml --plan
    python -m recipes.reproduce --pool runs/tiny-0 runs/tiny-1 runs/tiny-2 --out runs/tiny

All stages of recipes.rft, then every model on held-out problems, rounds of hints behind the base
model and START, and a report in the shape of the paper's table 1 (report.md, report.json,
report.png). The same command goes on where it was stopped and skips what is finished. `--plan` does
nothing but say what it would take, and checks what can be checked without weights. `--pool` makes
one report of several seeds of one config.
"""

from __future__ import annotations

import sys
from pathlib import Path

from recipes import experiment
from recipes.config import command_line, given
from recipes.plan import plan
from recipes.reproduce import pool, reproduce, stages


def main() -> int:
    """The run; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.reproduce", __doc__, required=False)
    add = parser.add_argument
    add("--plan", action="store_true", help="say what it takes, check, and do nothing")
    add("--pool", nargs="+", type=Path, metavar="FOLDER", help="one report of several runs")
    add("--out", type=Path)
    options = parser.parse_args()
    if options.config is None and options.pool is None:
        parser.error("give --config, or --pool")
    if options.out is None and not options.plan:
        parser.error("give --out")

    def body() -> int | None:
        if options.pool:
            pool(options.pool, options.out)
            return None
        config = given(options)
        if options.plan:
            return plan(config, stages(config))
        reproduce(config, options.out)
        return None

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
