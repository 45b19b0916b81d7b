"""The results of an evaluation: scores with intervals, calls, tokens; as Markdown, JSON and PNG."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from recipes import paper
from start_sdk import ConfigError
from start_sdk.batch import Row
from start_sdk.cli import visible
from start_sdk.grading.statistics import (
    Interval,
    avg_at_k,
    maj_at_k,
    mean_interval,
    pass_at_k,
)


@dataclass(frozen=True)
class Result:
    """One graded sample, as far as a report needs it."""

    problem: str
    question: str
    family: str
    sample: int
    answer: str | None
    correct: bool
    how: str
    calls: int
    tokens: dict[str, int]
    finish: str
    ours: bool = False
    """Our own verdict, also where `correct` is another's."""
    upstream: bool | None = None
    """The verdict of LiveCodeBench's own grader, on samples of its problems."""

    @property
    def asked(self) -> str:
        """What makes a problem distinct: its question."""
        return distinct(self.question) or self.problem


def distinct(question: str) -> str:
    """A question as it is compared with others: a suite may draw one more than once."""
    return " ".join(question.split())


def asked_in(row: Row) -> str:
    """What makes a row's problem distinct."""
    return distinct(str(row.job.input.get("question", ""))) or row.job.problem


def results(rows: Iterable[Row], *, upstream: bool = False) -> list[Result]:
    """The samples of an evaluation's rows; one that failed is wrong.

    Args:
        rows: of `recipes.evaluate`.
        upstream: go by the verdicts of LiveCodeBench's own grader.

    Raises:
        ConfigError: a row holds something else.
    """
    found = [_result(row) for row in rows]
    return [replace(s, correct=bool(s.upstream)) for s in found] if upstream else found


def _result(row: Row) -> Result:
    found = row.result or {}
    try:
        trace = found.get("trace", {})
        return Result(
            problem=row.job.problem,
            question=str(row.job.input.get("question", "")),
            family=str(row.job.input.get("family") or ""),
            sample=row.job.sample,
            answer=found.get("answer"),
            correct=bool(found.get("correct")),
            how=found.get("outcome") or found.get("how", "failed"),
            calls=found.get("calls", 0),
            tokens=trace.get("usage", {}),
            finish=trace.get("finish", "failed"),
            ours=bool(found.get("correct")),
            upstream=found.get("upstream"),
        )
    except (AttributeError, ValidationError) as error:
        raise ConfigError(f"row {row.job.key} is not an evaluation's") from error


def by_problem(samples: Iterable[Result]) -> dict[str, list[Result]]:
    """The samples of each problem, in the order of their numbers."""
    problems: dict[str, list[Result]] = {}
    for sample in sorted(samples, key=lambda s: s.sample):
        problems.setdefault(sample.problem, []).append(sample)
    return problems


def scores(samples: Sequence[Result]) -> dict[str, Any]:
    """Scores of some samples; each mean is over problems, with a 95 % bootstrap interval.

    Raises:
        ConfigError: there are none.
    """
    if not samples:
        raise ConfigError("there are no samples to report")
    problems = list(by_problem(samples).values())
    k = min(len(p) for p in problems)
    right = [[s.correct for s in p] for p in problems]
    same = [p[0].asked for p in problems]
    found: dict[str, Any] = {"problems": len(set(same)), "drawn": len(problems)}
    found |= {"samples": len(samples), "k": k}
    found["pass@1"] = interval([avg_at_k(r) for r in right], same)
    if k > 1:
        found[f"pass@{k}"] = interval([pass_at_k(len(r), sum(r), k) for r in right], same)
        votes = [maj_at_k([s.answer for s in p], [s.correct for s in p]) for p in problems]
        found[f"maj@{k}"] = interval(votes, same)
    tokens = Counter[str]()
    for sample in samples:
        tokens.update(sample.tokens)
    generated = sum(tokens[source] for source in ("model", "dropped"))
    hits = sum(s.correct for s in samples)
    found["calls per problem"] = sum(s.calls for s in samples) / len(samples)
    found["with calls"] = sum(s.calls > 0 for s in samples) / len(samples)
    found["tokens per sample"] = {name: n / len(samples) for name, n in sorted(tokens.items())}
    found["model tokens per right answer"] = generated / hits if hits else None
    found["verdicts"] = dict(sorted(Counter(s.how for s in samples).items()))
    found["finish"] = dict(sorted(Counter(s.finish for s in samples).items()))
    return found


def points(difference: Interval) -> dict[str, float]:
    """A difference of shares with its interval, in points."""
    return {k: round(100 * getattr(difference, k), 2) for k in ("value", "low", "high")}


def interval(values: Sequence[float], clusters: Sequence[str] | None = None) -> dict[str, float]:
    """A mean over problems and its interval, in percent; the same question is drawn together."""
    found = mean_interval(values, clusters=clusters)
    return {name: round(100 * getattr(found, name), 2) for name in ("value", "low", "high")}


def summary(samples: Sequence[Result], title: dict[str, Any]) -> dict[str, Any]:
    """All of a report, as report.json has it."""
    families = sorted({s.family for s in samples if s.family})
    made: dict[str, Any] = {**title, "all": scores(samples)}
    made["families"] = {f: scores([s for s in samples if s.family == f]) for f in families}
    if any(s.upstream is not None for s in samples):
        made["graders"] = {
            "both": sum(s.ours and bool(s.upstream) for s in samples),
            "only ours": sum(s.ours and not s.upstream for s in samples),
            "only upstream's": sum(bool(s.upstream) and not s.ours for s in samples),
            "neither": sum(not (s.ours or s.upstream) for s in samples),
        }
    suite = str(title.get("suite"))
    if suite in paper.SCORES:
        made["paper"] = {"source": paper.SOURCE, **paper.SCORES[suite]}
        made["paper parts"] = paper.PARTS.get(suite, {})
        made["paper notes"] = paper.NOTES.get(suite, "")
    return made


def shown(score: dict[str, float]) -> str:
    """A score as tables have it."""
    return f"{score['value']:.1f} [{score['low']:.1f}, {score['high']:.1f}]"


def markdown(made: dict[str, Any]) -> str:
    """The report as text."""
    whole = made["all"]
    kinds = [name for name in whole if "@" in name]
    lines = [inline(f"# {_title(made)}"), ""]
    plain = [name for name in made if not isinstance(made[name], dict | list)]
    lines += [f"- {name}: {inline(made[name])}" for name in plain]
    lines += ["", "Percent, with 95 % bootstrap intervals over distinct problems.", ""]
    head = ["", "problems", *kinds, "with calls", "calls", "model tokens", "per right answer"]
    lines += [row(head), row(["---", *["---:"] * (len(head) - 1)])]
    for name, part in [*made["families"].items(), ("all", whole)]:
        cost = part["model tokens per right answer"]
        lines.append(
            row(
                [
                    name,
                    str(part["problems"]),
                    *(shown(part[kind]) for kind in kinds),
                    f"{part['with calls']:.0%}",
                    f"{part['calls per problem']:.2f}",
                    f"{part['tokens per sample'].get('model', 0):.0f}",
                    "-" if cost is None else f"{cost:.0f}",
                ]
            )
        )
    lines += ["", f"Verdicts: {counted(whole['verdicts'])}. Ends: {counted(whole['finish'])}."]
    if "graders" in made:
        lines += ["", f"Right by which grader, samples: {counted(made['graders'])}."]
    if "paper" in made:
        lines += ["", f"The paper's ({made['paper']['source']}; other models, not measured here):"]
        scores_of = (f"{k} {v}" for k, v in made["paper"].items() if k != "source")
        lines += ["", f"{', '.join(scores_of)}. {made['paper notes']}".rstrip()]
        for part, of in made["paper parts"].items():
            lines += ["", f"{part.capitalize()}: {', '.join(f'{k} {v}' for k, v in of.items())}."]
    return "\n".join(lines) + "\n"


def row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(inline, cells))} |"


def inline(text: object) -> str:
    """Text of anyone within a line of Markdown: no second line, cell, HTML, image or link."""
    line = visible(" ".join(str(text).split()))
    for mark, instead in (("<", "&lt;"), ("|", "&#124;"), ("](", "]\\("), ("][", "]\\[")):
        line = line.replace(mark, instead)
    return line


def fenced(text: str) -> str:
    """Text of anyone as a block of Markdown, in a fence that is longer than all that it holds."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(5, longest + 1)
    return f"{fence}text\n{visible(text)}\n{fence}\n"


def counted(counts: dict[str, int]) -> str:
    """Counts as a sentence has them."""
    return ", ".join(f"{inline(name) or '-'} {n}" for name, n in counts.items())


def _title(made: dict[str, Any]) -> str:
    return f"{made['suite']}: {made['model']}, hints {made['hints']}"


def picture(made: dict[str, Any], path: Path) -> None:
    """pass@1 by family with its intervals, and in all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    parts = [*made["families"].items(), ("all", made["all"])]
    names = [name for name, _ in parts]
    found = [part["pass@1"] for _, part in parts]
    values = [score["value"] for score in found]
    errors = [
        [score["value"] - score["low"] for score in found],
        [score["high"] - score["value"] for score in found],
    ]
    figure = Figure(figsize=(6.4, 1.2 + 0.32 * len(parts)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.barh(names, values, xerr=errors, color=["#7aa6c2"] * (len(parts) - 1) + ["#2f5d7c"])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("pass@1 in percent, 95 % intervals")
    axes.set_title(_title(made), fontsize=10)
    figure.savefig(path, metadata={"Software": None})


def write_report(samples: Sequence[Result], title: dict[str, Any], out: Path) -> str:
    """Writes report.json, report.md and report.png; returns the text."""
    made = summary(samples, title)
    text = markdown(made)
    (out / "report.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (out / "report.md").write_text(text, encoding="utf-8")
    picture(made, out / "report.png")
    return text
