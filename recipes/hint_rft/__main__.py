"""Makes a training set from rollouts: scores, filters, modifies, and keeps one trace per question.

    python -m recipes.hint_rft --config recipes/configs/tiny.toml --rules seed_data \
        --plain runs/x/plain --out runs/x/d-seed runs/x/hinted
    python -m recipes.hint_rft --config recipes/configs/tiny.toml --rules start_data \
        --easy runs/x/text --out runs/x/d-start runs/x/sampled runs/x/text

The output folder contains data.jsonl (one kept trace per line), audit.jsonl (every row of the
rollouts, with the reason if it was dropped), and a report with counts per step and samples
(report.md, report.json).
"""

from __future__ import annotations

import sys
from pathlib import Path

from recipes.command import command_line, given, out_of, program
from recipes.hint_rft import curate
from recipes.hint_rft.report import markdown
from start_sdk.cli import say


def main() -> int:
    """Curates; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.hint_rft", __doc__, needs_config=True)
    add = parser.add_argument
    add("rollouts", nargs="+", type=Path, help="folders of rollouts")
    add("--rules", choices=("seed_data", "start_data"), default="seed_data")
    add("--plain", type=Path, help="folder of the rollout without hints")
    add("--easy", type=Path, help="folder of the rollout without Python, for easy_from")
    options = parser.parse_args()

    def body() -> None:
        config = given(options)
        rules = getattr(config, options.rules)
        folders = {"plain": options.plain, "easy": options.easy}
        say(markdown(curate(config, out_of(options), rules, options.rollouts, **folders)))

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
