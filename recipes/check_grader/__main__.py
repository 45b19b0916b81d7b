"""`python -m recipes.check_grader [FILE.jsonl ...]`: see the package."""

from __future__ import annotations

import sys
from pathlib import Path

from recipes.check_grader import main
from recipes.command import CommandLine
from start_sdk import StartError

if __name__ == "__main__":
    parser = CommandLine(description="Checks the grader on gold answers.")
    add = parser.add_argument
    add("files", nargs="*", type=Path, metavar="FILE.jsonl")
    add("--half", choices=("open", "sealed", "both"), default="both", help="rules and problems")
    add("--big", type=int, default=0, help="wrong neighbours of big numbers to try")
    add("--seed", type=int, default=0, help="seed of the big numbers")
    options = parser.parse_args()
    try:
        sys.exit(main(options.files, half=options.half, big=options.big, seed=options.seed))
    except StartError as error:
        parser.exit(2, f"error: {error}\n")
