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

from recipes.command import created
from recipes.config import Config
from recipes.hint_rft.inspector import Inspector, timeless
from recipes.hint_rft.report import write_report
from recipes.problems import held_out
from recipes.settings import Curation
from start_sdk import ConfigError, Trace, plugins
from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.batch import BatchProgress, Row, fingerprint, read_rows
from start_sdk.grading import Grader
from start_sdk.grading.contamination import Overlap, words
from start_sdk.grading.statistics import avg_at_k

BATCH = 32
"""Rows that are looked at together: those that are modified wait for their kernels."""


@dataclass
class Candidate:
    """What is remembered of a good row until all are looked at."""

    audit: dict[str, Any]
    question: str
    tokens: str
    """Hash of the trace's tokens."""
    rank: tuple[int, int, str]
    """The lower the better: failed calls, then tokens that the model wrote, then by lot."""


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
    right: set[str] = set()
    if rules.rescued:
        if plain is None:
            raise ConfigError("rescued needs the rollout without hints: give --plain")
        right = {problem for problem, found in verdicts(plain).items() if found[0]}
    easily: set[str] | None = None
    if (share := rules.easy_from) is not None:
        if easy is None:
            raise ConfigError("easy_from needs a rollout without Python: give --easy")
        easily = {problem for problem, found in verdicts(easy).items() if avg_at_k(found) >= share}
    questions = (problem.question for problem in held_out(config.evaluation, "all"))
    overlap = Overlap(questions, run=rules.overlap_words, share=rules.overlap_share)
    tokenizer, python = load_tokenizer(config.base), plugins.load("interpreters", "python")()
    inspector = Inspector(rules, tokenizer, python, Grader(), overlap, right, easily)
    with TemporaryFile(dir=created(folder)) as lines:
        audits, good = asyncio.run(_inspect_all(inspector, rollouts, config.seed, lines))
        choose(good, rules.size, config.seed)
        lines.seek(0)
        made = zip(lines, good, strict=True)
        _write(folder / "data.jsonl", (line for line, one in made if one.audit["reason"] is None))
    _write(folder / "audit.jsonl", map(_line, audits))
    report = write_report(audits, rules, folder)
    if not report["kept"]:
        raise ConfigError(f"no row was kept: see {str(folder / 'report.md')!r} for the reasons")
    return report


async def _inspect_all(
    inspector: Inspector, rollouts: Sequence[Path], seed: int, lines: IO[bytes]
) -> tuple[list[dict[str, Any]], list[Candidate]]:
    """Looks at all rows; those without a reason against them are candidates, a line for each."""
    audits, good = [], []
    rows = (row for folder in rollouts for row in read_rows(folder))
    async with inspector.grader:
        with BatchProgress(None) as progress:
            while batch := list(islice(rows, BATCH)):
                inspected = await asyncio.gather(*map(inspector.inspect, batch))
                for row, (audit, trace) in zip(batch, inspected, strict=True):
                    audits.append(audit)
                    progress.add(row)
                    if trace and audit["reason"] is None:
                        good.append(_candidate(audit, row, trace, seed))
                        about = {name: row.job.input.get(name, "") for name in ("question", "gold")}
                        lines.write(_line({**audit, **about, "trace": timeless(trace)}))
    return audits, good


def _candidate(audit: dict[str, Any], row: Row, trace: Trace, seed: int) -> Candidate:
    question = " ".join(words(str(row.job.input["question"])))
    lot = fingerprint([seed, row.job.parts])
    rank = (audit["score"]["failed"], audit["score"]["written"], lot)
    return Candidate(audit, question, fingerprint(trace.token_ids), rank)


def choose(candidates: Iterable[Candidate], size: int | None, seed: int) -> None:
    """Keeps one row per question, the best one, and of all at most `size`, drawn by the seed.

    The others get their reason.
    """
    best: dict[str, Candidate] = {}
    seen: set[tuple[str, str]] = set()
    for one in sorted(candidates, key=lambda one: one.rank):
        if (one.question, one.tokens) in seen:
            one.audit["reason"] = "duplicate"
        elif best.setdefault(one.question, one) is not one:
            one.audit["reason"] = "another one is kept"
        seen.add((one.question, one.tokens))
    kept = sorted(best, key=lambda question: fingerprint([seed, question]))
    for question in kept[size:] if size else ():
        best[question].audit["reason"] = "not drawn"


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


def _write(path: Path, lines: Iterable[bytes]) -> None:
    """Whole or not at all."""
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.writelines(lines)
    unfinished.replace(path)


def verdicts(rollout: Path) -> dict[str, list[bool]]:
    """Whether a rollout was right, by problem, on each of its samples; the first one is first."""
    found: dict[str, list[bool]] = {}
    for row in read_rows(rollout):
        correct = row.result is not None and bool(row.result["correct"])
        found.setdefault(row.job.problem, []).append(correct)
    return found
