"""Reproduces START: from a base model to START, its controls, and a report.

    python -m recipes.reproduce --config recipes/configs/tiny.toml --out runs/tiny-0
    python -m recipes.reproduce --config recipes/configs/qwq-32b.toml --plan
    python -m recipes.reproduce --pool runs/tiny-0 runs/tiny-1 runs/tiny-2 --out runs/tiny

Runs all stages of recipes.rft, evaluates every model on held-out problems and the base model and
START with rounds of hints, and writes a report in the form of the paper's table 1 (report.md,
report.json, report.png). The same command resumes an interrupted run and skips finished stages.
`--plan` only estimates what a run takes and checks what can be checked without weights. `--pool`
makes one report from several seeds of one config.
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
    add("--plan", action="store_true", help="print an estimate and checks, and exit")
    add("--pool", nargs="+", type=Path, metavar="FOLDER", help="make one report of several runs")
    add("--out", type=Path)
    options = parser.parse_args()
    if options.config is None and options.pool is None:
        parser.error("--config or --pool is required")
    if options.out is None and not options.plan:
        parser.error("--out is required")

    def body() -> int | None:
        if options.pool:
            pool(options.pool, options.out)
            return None
        config = given(options)
        if options.plan:
            return plan(config, [stage.name for stage in stages(config)])
        reproduce(config, options.out)
        return None

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
