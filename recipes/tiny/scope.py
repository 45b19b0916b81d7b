"""Says which questions the miniature knows, for the command line."""

import json
import re
from pathlib import Path
from random import Random

from recipes.tiny.families import FAMILIES
from recipes.tiny.phrases import USE_PYTHON
from recipes.tiny.world import draw_problem

ABOUT = (
    "products, powers and orders modulo a number, coins of two or three values, sums and counts of "
    "multiples, divisors, gcd and lcm, primes, equations, sequences, and two kinds of functions"
)
EXAMPLES = (
    "Coins come in values 6, 10 and 15 cents. What is the largest amount that cannot be made? "
    "Give the sum of its digits.",
    "Find the least positive integer m such that m^4 + 1 is divisible by 17^2.",
    "What is the remainder when 7^23 is divided by 41?",
    "How many positive divisors does 360 have?",
)
_WORD = re.compile(r"[a-z]+")


def question_words(per_family: int = 400) -> list[str]:
    """Every alphabetic word of the world's questions, in lower case, sorted."""
    rng = Random(0)
    words: set[str] = set()
    for family in FAMILIES:
        for _ in range(per_family):
            words.update(_WORD.findall(draw_problem(family, "train", rng).question.lower()))
    for text in (*USE_PYTHON, *EXAMPLES):
        words.update(_WORD.findall(text.lower()))
    return sorted(words)


def write_scope(folder: Path) -> None:
    """Write scope.json: a question with a word not in `words` is outside the world."""
    scope = {"about": ABOUT, "examples": list(EXAMPLES), "words": question_words()}
    (folder / "scope.json").write_text(json.dumps(scope, indent=1) + "\n", encoding="utf-8")
