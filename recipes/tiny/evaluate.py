"""How often the miniature is right, with a hint and without: `recipes.evaluate` on the suite tiny.

    python -m recipes.tiny.evaluate --hints none --n 30 --seed 7 --json none.json
    python -m recipes.tiny.evaluate --hints end --n 30 --seed 7 --json end.json

Held-out problems, greedy, `--n` per family, through real sessions and kernels. Prints the report;
`--json` also writes the rows, each with its whole trace. With `--out` a run that was stopped goes
on. Figures of a miniature: they say nothing about a model of the paper.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from recipes import evaluate
from start_sdk import StartError
from start_sdk.batch import read_rows
from start_sdk.cli import check_writable


def rows(folder: Path) -> list[dict[str, Any]]:
    """The samples of an evaluation's folder, flat."""
    made = []
    for row in read_rows(folder):
        problem, result = row.job.input, row.result or {}
        made.append(
            {
                "family": problem["family"],
                "problem": problem["question"],
                "gold": problem["gold"],
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
    parser = evaluate.command_line()
    parser.prog, parser.description = "python -m recipes.tiny.evaluate", __doc__
    parser.add_argument("--json", type=Path, help="file for the rows")
    parser.set_defaults(suite="tiny")
    config = parser.parse_args()
    try:
        if config.json:
            check_writable(config.json)
        with TemporaryDirectory() as folder:
            config.out = config.out or Path(folder)
            evaluate.run(config)
            found = rows(config.out)
    except StartError as error:
        parser.exit(2, f"error: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, "stopped\n")
    if config.json:
        config.json.write_text(json.dumps({"rows": found}) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
