"""Curates the data of Hint-RFT: scores, filters, modifies and checks traces (START, section 3).

`curate` makes D_seed from rollouts with hints, and D_START from START-0's samples: the same steps,
with different rules (`Curation`). It keeps one trace per question, and records why each of the
others was dropped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from recipes.config import Config
from recipes.experiment import held_out
from recipes.hint_rft.contamination import Overlap, words
from recipes.hint_rft.inspector import Inspected, Inspector
from recipes.hint_rft.report import write_report
from recipes.rows import read_lines, read_rows
from recipes.settings import Curation, Evaluation
from start_sdk import ConfigError, plugins
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.batch import BatchProgress, fingerprint
from start_sdk.grading.statistics import avg_at_k

BATCH = 32
"""Rows that are looked at together: those that are modified wait for their kernels."""


@dataclass
class Entry:
    """What is remembered of a row while all are looked at."""

    audit: dict[str, Any]
    question: str
    rank: tuple[int, int, str] = (0, 0, "")
    """The lower the better: failed calls, then tokens that the model wrote, then by lot."""
    tokens: str = ""
    """Hash of the trace's tokens."""
    offset: int = -1
    """Where its line begins in the file of good rows."""


def curate(
    config: Config,
    folder: Path,
    rules: Curation,
    rollouts: Sequence[Path],
    *,
    plain: Path | None = None,
    easy: Path | None = None,
) -> dict[str, Any]:
    """Makes a training set from rollouts, and says what became of every row.

    Args:
        config: the run.
        folder: gets data.jsonl (a kept trace per line), audit.jsonl (every row, kept or why not)
            and the report (report.json, report.md).
        rules: what is kept: the config's `seed_data` or `start_data`.
        rollouts: folders of rollouts.
        plain: the rollout without hints, which `rules.rescued` needs.
        easy: a rollout without Python of several samples, which `rules.easy_from` needs; give it
            among `rollouts`, too.

    Returns:
        the report: rows, rows left out by reason, what is kept.

    Raises:
        ConfigError: a folder that holds no rollout, or `plain` is missing; nothing is kept.
    """
    if rules.rescued and plain is None:
        raise ConfigError("rescued needs the rollout without hints: give --plain")
    if rules.easy_from is not None and easy is None:
        raise ConfigError("easy_from needs a rollout without Python: give --easy")
    right = right_problems(plain) if rules.rescued and plain else frozenset[str]()
    inspector = Inspector(
        rules,
        load_tokenizer(config.base),
        plugins.load("interpreters", "python")(),
        Overlap(evaluated(config.evaluation), run=rules.overlap_words, share=rules.overlap_share),
        right,
        None if rules.easy_from is None or not easy else easy_problems(easy, rules.easy_from),
    )
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as good:
        entries = asyncio.run(_inspect_all(inspector, rollouts, config.seed, good))
        choose(entries, rules.size, config.seed)
        kept = [entry for entry in entries if entry.audit["reason"] is None]
        _write_lines(folder / "audit.jsonl", (json.dumps(entry.audit) for entry in entries))
        _write_lines(folder / "data.jsonl", (_line_at(good, entry.offset) for entry in kept))
    report = write_report([entry.audit for entry in entries], rules, folder)
    if not kept:
        raise ConfigError(f"no row was kept: see {str(folder / 'report.md')!r} for the reasons")
    return report


async def _inspect_all(
    inspector: Inspector, rollouts: Sequence[Path], seed: int, good: IO[bytes]
) -> list[Entry]:
    """Looks at all rows; those without a reason against them are written to `good`."""
    entries: list[Entry] = []
    rows = (row for folder in rollouts for row in read_rows(folder))
    total = sum(1 for folder in rollouts for _ in read_lines(folder))
    try:
        with BatchProgress(total) as progress:
            while batch := list(islice(rows, BATCH)):
                for found in await asyncio.gather(*map(inspector.inspect, batch)):
                    entries.append(_entry(found, seed, good))
                    progress.add(found.row)
    finally:
        await inspector.aclose()
    return entries


def _entry(found: Inspected, seed: int, good: IO[bytes]) -> Entry:
    question = " ".join(words(str(found.row.job.input["question"])))
    entry = Entry(found.audit(), question)
    if found.reason is None and found.score:
        score = found.score
        lot = fingerprint([seed, found.row.job.parts])
        entry.rank = (score.failed, score.written, lot)
        entry.tokens = fingerprint(score.trace.token_ids)
        entry.offset = good.tell()
        good.write(json.dumps(found.datum()).encode() + b"\n")
    return entry


def choose(entries: Sequence[Entry], size: int | None, seed: int) -> None:
    """Keeps one row per question, the best one, and of all at most `size`, drawn by the seed.

    The others get their reason.
    """
    best: dict[str, Entry] = {}
    seen: set[tuple[str, str]] = set()
    for entry in sorted((e for e in entries if e.audit["reason"] is None), key=lambda e: e.rank):
        if (entry.question, entry.tokens) in seen:
            entry.audit["reason"] = "duplicate"
        elif best.setdefault(entry.question, entry) is not entry:
            entry.audit["reason"] = "another one is kept"
        seen.add((entry.question, entry.tokens))
    kept = sorted(best, key=lambda question: fingerprint([seed, question]))
    for question in kept[size:] if size else ():
        best[question].audit["reason"] = "not drawn"


def _line_at(good: IO[bytes], offset: int) -> str:
    good.seek(offset)
    return good.readline().decode().rstrip("\n")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    """Whole or not at all."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    unfinished.replace(path)


def evaluated(evaluation: Evaluation) -> list[str]:
    """The questions that are evaluated on."""
    return [problem.question for problem in held_out(evaluation, "all")]


def right_problems(plain: Path) -> frozenset[str]:
    """The problems that a rollout without hints was right on, in its first sample."""
    return frozenset(
        row.job.problem
        for row in read_rows(plain)
        if row.result is not None and row.result["correct"] and not row.job.sample
    )


def easy_problems(rollout: Path, share: float) -> frozenset[str]:
    """The problems that a rollout was right on in at least this share of its samples."""
    verdicts: dict[str, list[bool]] = {}
    for row in read_rows(rollout):
        correct = row.result is not None and bool(row.result["correct"])
        verdicts.setdefault(row.job.problem, []).append(correct)
    return frozenset(problem for problem, found in verdicts.items() if avg_at_k(found) >= share)
