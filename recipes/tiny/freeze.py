"""Hashes of what the miniature is: `python -m recipes.tiny.freeze [FOLDER]`.

Weights and tokenizer are hashed as files; the world as what it generates: questions, answers and
programs of every family and split, and training text. The model card has all three, and a test
compares them: every figure measured on the miniature stands on them. A change is a new version, and
measures everything again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random
from typing import get_args

from recipes.command import CommandLine
from recipes.tiny.families import FAMILIES
from recipes.tiny.text import make_document
from recipes.tiny.world import Split, problems
from start_sdk import models
from start_sdk.cli import say

#: Problems of each family and split, and training documents, that go into the hash.
PROBLEMS, DOCUMENTS, FIRST = 20, 500, 100_000


def world_hash() -> str:
    """SHA-256 of what the world generates."""
    digest = hashlib.sha256()
    for family in FAMILIES:
        for split in get_args(Split):
            for problem in problems(family, split, 0, PROBLEMS):
                programs = family.programs(problem.params, Random(0))
                digest.update(f"{problem.question}|{problem.answer}|{programs}\n".encode())
    for index in range(FIRST, FIRST + DOCUMENTS):
        digest.update(make_document(0, index).encode())
    return digest.hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of a model's weights and tokenizer, and of the world."""
    files = ("model.safetensors", "tokenizer.json")
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    return {**found, "world": world_hash()}


def main() -> None:
    parser = CommandLine(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "folder", type=Path, nargs="?", default=models.folder(models.BASE), help="of a model"
    )
    args = parser.parse_args()
    try:
        found = hashes(args.folder)
    except OSError as error:
        parser.error(f"no model there: {error}")
    for name, digest in found.items():
        say(f"{name}: {digest}")


if __name__ == "__main__":
    main()
