"""`python -m recipes.check_grader FILE.jsonl ...`: see the package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recipes.check_grader import main
from start_sdk import StartError

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Checks the grader on gold answers.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.jsonl")
    try:
        sys.exit(main(parser.parse_args().files))
    except StartError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
