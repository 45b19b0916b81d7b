"""Results of an evaluation: scores with intervals, calls and tokens; as Markdown, JSON and PNG."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from recipes import paper, plots
from recipes.markup import counted, grid, heading
from start_sdk import ConfigError
from start_sdk.batch.scoring import GRADERS, Parts, Result, Systems, across, by_part, grouped

CHARS = 60
"""Of an answer that the graders disagree on; it may be a whole program."""


def summary(samples: Sequence[Result], title: Mapping[str, Any]) -> dict[str, Any]:
    """All of a report, as report.json has it.

    Raises:
        ConfigError: there are no samples.
    """
    if not samples:
        raise ConfigError("there are no samples to report")
    systems = grouped(samples, "policy")
    whole = {"all": {s.family for s in samples}}
    made = {**title, "policies": {name: by_part(some, whole) for name, some in systems.items()}}
    if any(s.right_by for s in samples):
        made["graders"] = dict.fromkeys(GRADERS.values(), 0)
        made["graders"] |= Counter(s.right_by or GRADERS[False, False] for s in samples)
        made["disagreements"] = disagreements(systems)
    suite = str(title.get("suite"))
    if suite in paper.SCORES:
        made["paper"] = {"source": paper.SOURCE, "scores": paper.SCORES[suite]}
        made["paper"] |= {"parts": paper.PARTS.get(suite, {}), "notes": paper.NOTES.get(suite, "")}
    return made


def disagreements(systems: Systems) -> dict[str, dict[str, str]]:
    """The samples that only one of our judge and the suite's own grader finds right."""
    return {
        f"{s.problem}, {system}, {s.sample}": {
            "answer": (s.answer or "")[:CHARS], "gold": s.gold[:CHARS], "right by": s.right_by,
        }
        for system, samples in systems.items()
        for s in samples
        if s.right_by in (GRADERS[True, False], GRADERS[False, True])
    }  # fmt: skip


def markdown(made: Mapping[str, Any]) -> str:
    """The report as text."""
    facts = {name: value for name, value in made.items() if not isinstance(value, dict)}
    lines = [heading(f"{made['suite']}: {made['model']}", facts)]
    lines += ["Percent, with 95 % bootstrap intervals over distinct problems.", ""]
    lines += _tables(made["policies"])
    if "graders" in made:
        lines += [f"Right by which grader, samples: {counted(made['graders'])}.", ""]
        lines += [grid(made["disagreements"].items(), "problem, policy, sample")]
    if "paper" in made:
        source, scores, parts, notes = made["paper"].values()
        lines += [f"The paper's ({source}; other models, not measured here):", ""]
        lines += [f"{counted(scores)}. {notes}".rstrip(), ""]
        lines += [f"{part.capitalize()}: {counted(of)}.\n" for part, of in parts.items()]
    return "\n".join(lines).rstrip() + "\n"


def _tables(policies: Mapping[str, Parts]) -> list[str]:
    """One policy family by family; several one below the other, and side by side."""
    if len(policies) == 1:
        [parts] = policies.values()
        verdicts, ends = counted(parts["all"]["verdicts"]), counted(parts["all"]["finish"])
        return [_scores(parts), f"Verdicts: {verdicts}. Ends: {ends}.", ""]
    whole = {policy: parts["all"] for policy, parts in policies.items()}
    return [_scores(whole), grid(across(policies).items(), "pass@1")]


def _scores(parts: Parts) -> str:
    return grid(
        (
            name,
            {
                "problems": part["problems"],
                **{kind: score for kind, score in part.items() if "@" in kind},
                "with calls": f"{part['with calls']:.0%}",
                **costs(part),
            },
        )
        for name, part in parts.items()
    )


def costs(part: Mapping[str, Any]) -> dict[str, object]:
    """Calls and tokens, as columns of a table."""
    cost = part["tokens per right answer"]
    return {
        "calls per problem": f"{part['calls per problem']:.2f}",
        "tokens per problem": f"{part['tokens per sample']:.0f}",
        "tokens per right answer": None if cost is None else f"{cost:.0f}",
    }


def picture(made: Mapping[str, Any]) -> Any:
    """pass@1 of each policy, by family and in all."""
    found = across(dict(islice(made["policies"].items(), len(plots.COLOURS))))
    figure = plots.figure(6.4, 1.2 + 0.22 * len(found) * (1 + len(found["all"])))
    axes = figure.add_subplot()
    plots.bars(axes, found)
    axes.set_xlabel("pass@1 in percent, 95 % intervals")
    axes.set_title(f"{made['suite']}: {made['model']}", fontsize=10)
    return figure


def write(
    found: Mapping[str, Any], text: str, folder: Path, name: str = "report", figure: Any = None
) -> None:
    """Writes NAME.json and NAME.md, and NAME.png if there is a figure."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(found, indent=1) + "\n"
    (folder / f"{name}.json").write_text(content, encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    if figure is not None:
        plots.save(figure, folder / f"{name}.png")
