"""How often the miniature is right, with a hint and without: `recipes.evaluate` on the suite tiny.

    python -m recipes.tiny.evaluate --hints none --n 30 --seed 7 --json none.json
    python -m recipes.tiny.evaluate --hints end --n 30 --seed 7 --json end.json

Held-out problems, greedy, `--n` per family, through real sessions and kernels. Prints the report;
`--json` also writes the rows, each with its whole trace. With `--out` a run that was stopped
continues. Figures of a miniature: they say nothing about a model of the paper.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recipes import evaluate
from recipes.command import program
from start_sdk.batch import read_rows
from start_sdk.cli import check_writable


def rows(folder: Path) -> list[dict[str, Any]]:
    """The samples of an evaluation's folder, flat."""
    made = []
    for row in read_rows(folder):
        result = row.result or {}
        made.append(
            {
                "family": row.job.input["family"],
                "problem": row.job.input["question"],
                "gold": row.job.input["gold"],
                "answer": result.get("answer"),
                "correct": result.get("correct", False),
                "calls": result.get("calls", 0),
                "tokens": result.get("trace", {}).get("usage", {}),
                "trace": result.get("trace"),
            }
        )
    return made


def main() -> int:
    """The evaluation; 2 for bad input, 130 for Ctrl-C."""
    parser = evaluate.options_of("recipes.tiny.evaluate", __doc__)
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.set_defaults(suite="tiny")
    options = parser.parse_args()

    def body() -> None:
        if options.json:
            check_writable(options.json)
        with TemporaryDirectory() as folder:
            options.out = options.out or Path(folder)
            evaluate.run(options)
            if options.json:
                text = json.dumps({"rows": rows(options.out)})
                options.json.write_text(text + "\n", encoding="utf-8")

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
