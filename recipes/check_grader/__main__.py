"""`python -m recipes.check_grader FILE.jsonl ...`: see the package."""

from __future__ import annotations

import sys
from pathlib import Path

from recipes.check_grader import main
from recipes.command import CommandLine
from start_sdk import StartError

if __name__ == "__main__":
    parser = CommandLine(description="Checks the grader on gold answers.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.jsonl")
    try:
        sys.exit(main(parser.parse_args().files))
    except StartError as error:
        parser.exit(2, f"error: {error}\n")
