r"""The cost of reading: `python -m benchmarks.reader [--repeats 15]`.

Microseconds of CPU time per token, for tokens of the embedded models: prose (thoughts of the
miniature's training text), prose with LaTeX, and code (two modules of Python's library), in each
notation. Up to 64 rows of a batch share the thread that reads. The peer is what any search for stop
texts does at least: one search for a tag and the connectives in each token and what precedes it.
All variants take turns within one run; figures are medians over the turns.

Limit: 3 microseconds per token of prose.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import statistics
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from recipes.tiny.text import any_problem, thought
from start_sdk import HintLibrary, ReasoningFormat, models
from start_sdk._text.reader import Reader
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.formats import PLAIN, THINK

LIMIT = 3.0
CHARACTERS = 50_000
"""Of each text, about."""
NOTATIONS = {"tag": THINK, "tag as text": ReasoningFormat(tag_is_token=False), "plain": PLAIN}
LATEX = r"""So we have \(x^2 + 3x = 10\), hence $x = 2$ or $x = -5$, at a price of $5 or more.
Wait, the sum
\[
\sum_{i=1}^{n} i = \frac{n(n + 1)}{2}
\]
is not what is asked. With $a_n = \frac{1}{n}$, the series \(\sum a_n\) has no limit.

"""
RESULT = Path(__file__).parent / "results" / "reader.json"
Feed = Callable[[str], object]


def texts() -> dict[str, str]:
    rng, prose = Random(0), ""
    while len(prose) < CHARACTERS:
        prose += thought(any_problem(rng), rng) + "\n\n"
    code = inspect.getsource(textwrap) + inspect.getsource(statistics)
    return {"prose": prose, "latex": LATEX * (CHARACTERS // len(LATEX)), "code": code[:CHARACTERS]}


def reader(notation: ReasoningFormat, words: Sequence[str], kind: str) -> Feed:
    made = Reader(notation, words)
    if kind == "code":
        made.feed("```python\n")
    return made.feed


def peer(words: Sequence[str]) -> Feed:
    stops = [*words, "</think>"]
    search, keep, tail = re.compile("|".join(stops)).search, max(map(len, stops)), ""

    def feed(piece: str) -> object:
        nonlocal tail
        tail = (tail + piece)[-keep - len(piece) :]
        return search(tail)

    return feed


def microseconds(feed: Feed, pieces: Sequence[str]) -> float:
    began = time.thread_time()
    for piece in pieces:
        feed(piece)
    return (time.thread_time() - began) / len(pieces) * 1e6


def measure(repeats: int) -> list[dict[str, str | int | float]]:
    tokenizer = load_tokenizer(models.BASE)
    words = [word for some in HintLibrary.load().connectives.values() for word in some]
    rows: list[dict[str, str | int | float]] = []
    for kind, text in texts().items():
        decode = tokenizer.stream([])
        pieces = [piece for piece in map(decode, tokenizer.encode(text)) if piece]
        taken: dict[str, list[float]] = {name: [] for name in (*NOTATIONS, "peer")}
        for turn in range(repeats + 1):  # the first turn warms up
            for name, costs in taken.items():
                feed = peer(words) if name == "peer" else reader(NOTATIONS[name], words, kind)
                cost = microseconds(feed, pieces)
                costs += [cost] if turn else []
        medians = {name: round(statistics.median(costs), 2) for name, costs in taken.items()}
        rows.append({"text": kind, "tokens": len(pieces), **medians})
    return rows


def main(repeats: int) -> None:
    rows = measure(repeats)
    table = Table(title="microseconds of CPU time per token")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    console = Console()
    console.print(table)
    worst = max(float(rows[0][name]) for name in NOTATIONS)
    verdict = "kept" if worst <= LIMIT else "MISSED"
    console.print(f"prose, worst notation: {worst} (limit {LIMIT}): {verdict}")
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"limit": LIMIT, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeats", type=int, default=15)
    main(parser.parse_args().repeats)
