"""The report of a run: report.json, report.md and report.png."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from recipes.report import fenced, inline, row, shown
from recipes.reproduce.pictures import picture
from recipes.reproduce.results import HINTED, SYSTEMS, collect
from recipes.stages import Pipeline
from start_sdk import Trace
from start_sdk.batch import read_rows

EXAMPLES = 3
Rows = list[list[str]]


def write_report(pipelines: Sequence[Pipeline], folder: Path) -> dict[str, Any]:
    """Writes the report of one run, or of several seeds of one config together."""
    found = collect(pipelines)
    text = markdown(found) + "".join(examples(pipelines[0]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(text, encoding="utf-8")
    picture(found, folder / "report.png")
    return found


def markdown(found: dict[str, Any]) -> str:
    """The report as text, without the examples."""
    seeds = ", ".join(map(str, found["seeds"]))
    suites = inline(", ".join(found["suites"]))
    head = f"{found['problems']} held-out problems of {suites}; seed {seeds}."
    title = f"# Hint-RFT from {inline(found['base model'])}"
    parts = [f"{title}\n\n{head} Percent, with 95 % intervals.\n"]
    parts += [_scores(found), _seeds(found), _gains(found), _calls(found), _costs(found)]
    parts += [_rounds(found), _data(found)]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Rows) -> str:
    lines = [row(head), row(["---", *["---:"] * (len(head) - 1)]), *map(row, rows)]
    return "\n".join(lines) + "\n"


def _main(found: dict[str, Any]) -> dict[str, str]:
    """The systems of START's table 1, and how their columns are called."""
    best = found["best hint"]
    names = ("base", SYSTEMS["text-rft"], best, "START-0", "START")
    return {
        name: name.replace(HINTED, "Hint-infer, ") for name in names if name in found["systems"]
    }


def _scores(found: dict[str, Any]) -> str:
    """START's table 1, and below it the systems that it leaves out, in groups only."""
    main, systems = _main(found), found["systems"]
    sizes = {n: part["problems"] for n, part in systems["base"]["families"].items()}
    sizes |= {n: part["problems"] for n, part in systems["base"]["groups"].items()}
    kept = found["groups"].get("kept from training", ())

    def line(name: str, label: str, kind: str) -> list[str]:
        cells = [shown(systems[system][kind][name]["pass@1"]) for system in main]
        return [label, str(sizes[name]), *cells]

    families = sorted(systems["base"]["families"], key=lambda name: (name in kept, name))
    rows = [line(n, f"{n} (kept from training)" if n in kept else n, "families") for n in families]
    rows += [line(name, f"**{name}**", "groups") for name in found["groups"]]
    text = "## Right answers\n\n" + _table(["", "problems", *main.values()], rows)
    others = [name for name in systems if name not in main]
    if others:
        rows = [
            [name, *(shown(part["pass@1"]) for part in systems[name]["groups"].values())]
            for name in others
        ]
        text += "\nBeside them:\n\n" + _table(["", *found["groups"]], rows)
    return text


def _seeds(found: dict[str, Any]) -> str:
    """Several seeds side by side: intervals over problems do not show how they vary."""
    if len(found["seeds"]) < 2:
        return ""
    rows = [
        [name, *(f"{value:.1f}" for value in values), f"{stdev(values):.1f}"]
        for name, values in found["by seed"].items()
    ]
    about = "Right answers of each seed's own data and training, and their standard deviation.\n"
    head = ["", *(f"seed {seed}" for seed in found["seeds"]), "sd"]
    return f"## Between seeds\n\n{about}\n" + _table(head, rows)


def _gains(found: dict[str, Any]) -> str:
    rows = []
    for name, groups in found["gains"].items():
        cells = [f"{g['value']:+.1f} [{g['low']:+.1f}, {g['high']:+.1f}]" for g in groups.values()]
        rows.append([name, *cells])
    about = "Points, paired by problem. The hint is the one that is best on these very problems.\n"
    return f"## Gains\n\n{about}\n" + _table(["", *found["groups"]], rows)


def _calls(found: dict[str, Any]) -> str:
    rows = []
    for name in found["systems"]:
        cells = [part["with calls"] for part in found["calls"][name].values()]
        rows.append([name, *("-" if cell is None else shown(cell) for cell in cells)])
    sizes = [f"{k} ({part['problems']})" for k, part in found["calls"]["base"].items()]
    about = "Share of traces that run code, by whether the base model is right without.\n"
    return f"## Where Python is called\n\n{about}\n" + _table(["", *sizes], rows)


def _costs(found: dict[str, Any]) -> str:
    rows = []
    for name, system in found["systems"].items():
        part = system["groups"]["all"]
        cost, used = part["per right answer"], part["tokens per sample"]
        rows.append(
            [
                name,
                f"{part['calls per problem']:.2f}",
                f"{used.get('model', 0) + used.get('dropped', 0):.0f}",
                "-" if cost is None else f"{cost:.0f}",
            ]
        )
    about = (
        "Tokens that the model sampled; for Hint-infer those of the thought it goes on from, too.\n"
    )
    head = ["", "calls per problem", "tokens per problem", "tokens per right answer"]
    return f"## Cost\n\n{about}\n" + _table(head, rows)


def _rounds(found: dict[str, Any]) -> str:
    curves = found["rounds"]
    if not curves:
        return ""
    rows = []
    for number in range(len(next(iter(curves.values())))):
        points = [points[number] for points in curves.values()]
        rows.append(
            [
                str(number),
                *(f"{shown(p['correct'])} ({p['tokens']:.0f}, {p['calls']:.1f})" for p in points),
            ]
        )
    size = next(iter(curves.values()))[0]["problems"]
    about = f"{size} of the problems; in brackets tokens sampled and calls, mean.\n"
    return f"## Rounds of hints\n\n{about}\n" + _table(["round", *curves], rows)


def _data(found: dict[str, Any]) -> str:
    """Counts at each step, a line for each stage; of several seeds one beside the other."""
    rows = [
        [name, " / ".join(_counts(report) for report in reports)]
        for name, reports in found["data"].items()
    ]
    return "## Data\n\n" + _table(["stage", "what came of it"], rows).replace("---:", "---")


def _counts(report: dict[str, Any]) -> str:
    if "left out" in report:  # a curation
        reasons = ", ".join(f"{n} {name}" for name, n in report["left out"].items())
        kept = f"{report['kept']} of {report['rows']} rows kept, {report['with calls']} with calls"
        return f"{kept}, {report['tokens']} tokens; left out: {reasons or 'none'}"
    if "steps" in report:  # a training
        loss = f"loss {report['first loss']:.2f} to {report['last loss']:.2f}"
        tokens = round(report["tokens"] * report["epochs"])
        return f"{report['rows']} traces, {tokens} tokens in {report['steps']} steps, {loss}"
    counts = report.values()
    total = {
        name: sum(c.get(name, 0) for c in counts)
        for name in ("samples", "failed", "correct", "with calls", "sampled tokens")
    }
    return ", ".join(f"{n} {name}" for name, n in total.items())


def examples(pipeline: Pipeline) -> Iterator[str]:
    """A few problems that the base model gets wrong and START right, side by side (figure 2)."""
    base = {
        r.job.problem: r.result for r in read_rows(pipeline.path("eval-base")) if not r.job.sample
    }
    families: set[str] = set()
    found = []
    for r in read_rows(pipeline.path("eval-start")):
        before, family = base.get(r.job.problem), str(r.job.input.get("family"))
        if r.job.sample or family in families or not (before and r.result):
            continue
        if not r.result["trace"].get("segments"):  # from an archive: its texts are not kept
            continue
        if r.result["correct"] and r.result["calls"] and not before["correct"]:
            families.add(family)
            found.append((r.job.input, before, r.result))
    if found:
        yield "\n## The same problem, base and START\n"
    # The last families are those that were kept from training, where there are any.
    trained = _trained(pipeline)
    found.sort(key=lambda each: str(each[0].get("family")) in trained)
    for problem, before, after in found[:EXAMPLES]:
        name, question = inline(problem.get("family") or problem["id"]), inline(problem["question"])
        yield f"\n### {name}\n\n> {question}\n\n"
        answers = [inline(result["answer"]) for result in (before, after)]
        yield f"Right: {inline(problem['gold'])}. The base model answers {answers[0]}:\n"
        yield _trace(before)
        yield f"\nSTART answers {answers[1]} (calls: {after['calls']}):\n"
        yield _trace(after)


def _trained(pipeline: Pipeline) -> set[str]:
    return {str(r.job.input.get("family")) for r in read_rows(pipeline.path("plain"))}


def _trace(result: dict[str, Any]) -> str:
    trace = Trace.model_validate(result["trace"])
    text = "".join(s.text for s in trace.segments if s.source != "prompt")
    return f"\n{fenced(text.strip())}"
