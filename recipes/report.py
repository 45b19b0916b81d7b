"""Results of an evaluation: scores with intervals, calls and tokens; as Markdown, JSON and PNG."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.dataclasses import dataclass

from recipes import paper, plots
from recipes.markup import counted, inline, table
from start_sdk import ConfigError
from start_sdk.batch import Row
from start_sdk.grading.statistics import (
    Interval,
    avg_at_k,
    maj_at_k,
    mean_interval,
    pass_at_k,
)


@dataclass(frozen=True)
class Result:
    """One judged sample, as far as a report needs it."""

    problem: str
    question: str
    family: str
    policy: str
    sample: int
    answer: str | None
    correct: bool
    how: str
    calls: int
    """Calls that were run for it, not those that were only replayed."""
    hints: int
    tokens: int
    """Tokens of the model, those that were dropped for a hint included."""
    sampled: int
    """Those that were sampled for this trace: without those of a trace that it continues."""
    finish: str
    ours: bool = False
    """Our own verdict, also where `correct` is another's."""
    upstream: bool | None = None
    """The verdict of the suite's own grader, where it has one: LiveCodeBench and reasoning-gym."""
    gold: str = ""

    @property
    def asked(self) -> str:
        """What makes a problem distinct: its question, which a suite may draw more than once."""
        return " ".join(self.question.split()) or self.problem


GRADERS = {
    (True, True): "both",
    (True, False): "only ours",
    (False, True): "only upstream's",
    (False, False): "neither",
}
"""Who says that a sample is right: (we, the suite's own grader)."""
CHARS = 60
"""Of an answer that the graders disagree on; it may be a whole program."""
Systems = dict[str, list[Result]]
"""The samples of each system that is compared, by its name."""


def results(rows: Iterable[Row], *, upstream: bool = False) -> list[Result]:
    """The samples of an evaluation's rows; one that failed is wrong.

    Args:
        rows: of `recipes.evaluate`.
        upstream: go by the verdicts of the suite's own grader.

    Raises:
        ConfigError: a row holds something else.
    """
    found = [_result(row) for row in rows]
    return [replace(s, correct=bool(s.upstream)) for s in found] if upstream else found


def _result(row: Row) -> Result:
    found = row.result or {}
    try:
        trace = found.get("trace", {})
        usage = trace.get("usage", {})
        return Result(
            problem=row.job.problem,
            question=str(row.job.input.get("question", "")),
            family=str(row.job.input.get("family") or ""),
            policy=row.job.policy,
            sample=row.job.sample,
            answer=found.get("answer"),
            correct=bool(found.get("correct")),
            how=found.get("outcome") or found.get("how", "failed"),
            calls=found.get("calls", 0) - found.get("replayed", 0),
            hints=found.get("hints", 0),
            tokens=usage.get("model", 0) + usage.get("dropped", 0),
            sampled=found.get("sampled", 0),
            finish=trace.get("finish", "failed"),
            ours=bool(found.get("correct")),
            upstream=_upstream(found),
            gold=str(found.get("gold", "")),
        )
    except (AttributeError, TypeError, ValidationError) as error:
        raise ConfigError(f"row {row.job.key} is not an evaluation's") from error


def _upstream(found: Mapping[str, Any]) -> bool | None:
    """Right or not by the suite's own grader; reasoning-gym's gives a score, of 1 at most."""
    scored = found.get("scored")
    verdict: bool | None = found.get("upstream") if scored is None else scored >= 1
    return verdict


def by_policy(samples: Iterable[Result]) -> Systems:
    """The samples of each policy, in the order in which they came."""
    found: Systems = {}
    for sample in samples:
        found.setdefault(sample.policy, []).append(sample)
    return found


def by_problem(samples: Iterable[Result]) -> dict[str, list[Result]]:
    """The samples of each problem, in the order of their numbers."""
    problems: dict[str, list[Result]] = {}
    for sample in sorted(samples, key=lambda s: s.sample):
        problems.setdefault(sample.problem, []).append(sample)
    return problems


def scores(samples: Sequence[Result]) -> dict[str, Any]:
    """Scores of some samples; each mean is over problems, with a 95 % bootstrap interval."""
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
    hits, tokens = sum(s.correct for s in samples), sum(s.tokens for s in samples)
    found["calls per problem"] = sum(s.calls for s in samples) / len(samples)
    found["with calls"] = sum(s.calls > 0 for s in samples) / len(samples)
    found["tokens per sample"] = tokens / len(samples)
    found["tokens per right answer"] = tokens / hits if hits else None
    found["verdicts"] = dict(sorted(Counter(s.how for s in samples).items()))
    found["finish"] = dict(sorted(Counter(s.finish for s in samples).items()))
    return found


def points(difference: Interval) -> dict[str, float]:
    """A difference of shares with its interval, in points."""
    return {k: round(100 * getattr(difference, k), 2) for k in ("value", "low", "high")}


def interval(values: Sequence[float], clusters: Sequence[str] | None = None) -> dict[str, float]:
    """A mean over problems and its interval, in percent; the same question is drawn together."""
    return points(mean_interval(values, clusters=clusters))


def summary(samples: Sequence[Result], title: Mapping[str, Any]) -> dict[str, Any]:
    """All of a report, as report.json has it.

    Raises:
        ConfigError: there are no samples.
    """
    if not samples:
        raise ConfigError("there are no samples to report")
    made: dict[str, Any] = {**title, "policies": {}}
    for policy, some in by_policy(samples).items():
        families = sorted({s.family for s in some if s.family})
        parts = {f: scores([s for s in some if s.family == f]) for f in families}
        made["policies"][policy] = {"all": scores(some), "families": parts}
    if any(s.upstream is not None for s in samples):
        made["graders"] = dict.fromkeys(GRADERS.values(), 0)
        made["graders"] |= Counter(GRADERS[s.ours, bool(s.upstream)] for s in samples)
        made["disagreements"] = {
            f"{s.problem}, {s.policy}, {s.sample}": {
                "answer": (s.answer or "")[:CHARS], "gold": s.gold[:CHARS],
                "right by": GRADERS[s.ours, bool(s.upstream)],
            }
            for s in samples
            if s.ours != bool(s.upstream)
        }  # fmt: skip
    suite = str(title.get("suite"))
    if suite in paper.SCORES:
        made["paper"] = {"source": paper.SOURCE, **paper.SCORES[suite]}
        made["paper parts"] = paper.PARTS.get(suite, {})
        made["paper notes"] = paper.NOTES.get(suite, "")
    return made


def markdown(made: Mapping[str, Any]) -> str:
    """The report as text."""
    lines = [inline(f"# {made['suite']}: {made['model']}"), ""]
    lines += [f"- {name}: {inline(v)}" for name, v in made.items() if not isinstance(v, dict)]
    lines += ["", "Percent, with 95 % bootstrap intervals over distinct problems.", ""]
    lines += _one(made["policies"]) if len(made["policies"]) == 1 else _several(made["policies"])
    if "graders" in made:
        lines += [f"Right by which grader, samples: {counted(made['graders'])}.", ""]
        apart = [[name, *of.values()] for name, of in made["disagreements"].items()]
        if apart:
            lines.append(table(["problem, policy, sample", "answer", "gold", "right by"], apart))
    if "paper" in made:
        lines += [f"The paper's ({made['paper']['source']}; other models, not measured here):", ""]
        figures = (f"{k} {v}" for k, v in made["paper"].items() if k != "source")
        lines += [f"{', '.join(figures)}. {made['paper notes']}".rstrip(), ""]
        for part, of in made["paper parts"].items():
            lines += [f"{part.capitalize()}: {', '.join(f'{k} {v}' for k, v in of.items())}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _one(policies: Mapping[str, Any]) -> list[str]:
    """A policy, family by family."""
    [found] = policies.values()
    whole = found["all"]
    ends = f"Verdicts: {counted(whole['verdicts'])}. Ends: {counted(whole['finish'])}."
    return [_scores({**found["families"], "all": whole}), ends, ""]


def _several(policies: Mapping[str, Any]) -> list[str]:
    """Policies one below the other, and side by side for each family."""
    lines = [_scores({name: found["all"] for name, found in policies.items()})]
    families = dict.fromkeys(name for found in policies.values() for name in found["families"])
    rows = [
        [name, *(shown(of["families"].get(name, {}).get("pass@1")) for of in policies.values())]
        for name in families
    ]
    return [*lines, table(["pass@1", *policies], rows)] if rows else lines


def _scores(parts: Mapping[str, Any]) -> str:
    kinds = list(dict.fromkeys(name for part in parts.values() for name in part if "@" in name))
    head = ["", "problems", *kinds, "with calls", "calls", "model tokens", "per right answer"]
    rows = []
    for name, part in parts.items():
        cost = part["tokens per right answer"]
        figures = [f"{part['with calls']:.0%}", f"{part['calls per problem']:.2f}"]
        figures += [f"{part['tokens per sample']:.0f}", "-" if cost is None else f"{cost:.0f}"]
        rows.append([name, str(part["problems"]), *(shown(part.get(k)) for k in kinds), *figures])
    return table(head, rows)


def shown(score: Mapping[str, float] | None) -> str:
    """A score as tables have it."""
    return f"{score['value']:.1f} [{score['low']:.1f}, {score['high']:.1f}]" if score else "-"


def picture(made: Mapping[str, Any], path: Path) -> None:
    """pass@1 of each policy, by family and in all."""
    found = {
        policy: {**of["families"], "all": of["all"]} for policy, of in made["policies"].items()
    }
    names = list(dict.fromkeys(name for of in found.values() for name in of))
    groups = {
        policy: [of[name]["pass@1"] if name in of else None for name in names]
        for policy, of in list(found.items())[: len(plots.COLOURS)]
    }
    figure = plots.figure(6.4, 1.2 + 0.22 * len(names) * (1 + len(groups)))
    axes = figure.add_subplot()
    plots.bars(axes, names, groups)
    axes.set_xlabel("pass@1 in percent, 95 % intervals")
    axes.set_title(f"{made['suite']}: {made['model']}", fontsize=10)
    plots.save(figure, path)


def write(found: Mapping[str, Any], text: str, folder: Path, name: str = "report") -> None:
    """Writes NAME.json and NAME.md."""
    content = json.dumps(found, indent=1) + "\n"
    (folder / f"{name}.json").write_text(content, encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
