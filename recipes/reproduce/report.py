"""The report of a run: report.json, report.md and report.png."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from recipes import plots, report
from recipes.markup import fenced, inline, table
from recipes.report import shown
from recipes.reproduce.results import HINTED, SYSTEMS, Found, Run, collect
from start_sdk import Trace
from start_sdk.batch import read_rows

EXAMPLES = 3


def write_report(runs: Sequence[Run], folder: Path) -> Found:
    """Writes report.json, report.md and report.png: of one run, or of several seeds together."""
    found = collect(runs)
    folder.mkdir(parents=True, exist_ok=True)
    report.write(found, markdown(found) + "".join(examples(runs[0][1])), folder)
    picture(found, folder / "report.png")
    return found


def markdown(found: Found) -> str:
    """The report as text, without the examples."""
    seeds, suites = ", ".join(map(str, found["seeds"])), inline(", ".join(found["suites"]))
    head = f"{found['problems']} held-out problems of {suites}; seed {seeds}."
    sections = {
        f"# Hint-RFT from {inline(found['base model'])}": (
            f"{head} Percent, with 95 % intervals.\n"
        ),
        "## Right answers": _right(found),
        "## Between seeds": _seeds(found),
        "## Gains": _differences(found),
        "## Where Python is called": _called(found),
        "## Cost": _costs(found),
        "## Rounds of hints": _curves(found),
        "## Data": table(
            ["stage", "what came of it"],
            [[name, " / ".join(map(_counts, made))] for name, made in found["data"].items()],
        ).replace("---:", "---"),
    }
    return "\n".join(f"{name}\n\n{text}" for name, text in sections.items() if text)


def _right(found: Found) -> str:
    """START's table 1, and below it the systems that it leaves out, in groups only."""
    systems = found["systems"]
    order = (*(SYSTEMS[n] for n in ("no-tool", "base", "text-rft")), found["best hint"])
    main = [name for name in (*order, SYSTEMS["start-0"], SYSTEMS["start"]) if name in systems]
    kept = found["groups"].get("kept from training", ())

    def line(name: str, label: str, kind: str) -> list[str]:
        size = str(systems["base"][kind][name]["problems"])
        return [label, size, *(shown(systems[one][kind][name]["pass@1"]) for one in main)]

    families = sorted(systems["base"]["families"], key=lambda name: (name in kept, name))
    rows = [line(n, f"{n} (kept from training)" if n in kept else n, "families") for n in families]
    rows += [line(name, f"**{name}**", "groups") for name in found["groups"]]
    heads = [name.replace(HINTED, "Hint-infer, ") for name in main]
    text = table(["", "problems", *heads], rows)
    others = [
        [name, *(shown(part["pass@1"]) for part in system["groups"].values())]
        for name, system in systems.items()
        if name not in main
    ]
    more = f"\nBeside them:\n\n{table(['', *found['groups']], others)}" if others else ""
    return text + more


def _seeds(found: Found) -> str:
    """How much trainings and draws of data differ, if there are several."""
    if len(found["seeds"]) < 2:
        return ""
    rows = [
        [name, *(f"{value:.1f}" for value in values), f"{stdev(values):.1f}"]
        for name, values in found["by seed"].items()
    ]
    about = "Right answers of each seed's own data and training, and their standard deviation.\n\n"
    return about + table(["", *(f"seed {seed}" for seed in found["seeds"]), "sd"], rows)


def _differences(found: Found) -> str:
    rows = [
        [name, *(f"{g['value']:+.1f} [{g['low']:+.1f}, {g['high']:+.1f}]" for g in groups.values())]
        for name, groups in found["gains"].items()
    ]
    about = "Points, paired by problem. The hint is the one that is best on these very problems."
    return f"{about}\n\n{table(['', *found['groups']], rows)}"


def _called(found: Found) -> str:
    calls = found["calls"]
    rows = [[name, *(shown(part["with calls"]) for part in calls[name].values())] for name in calls]
    sizes = [f"{name} ({part['problems']})" for name, part in calls["base"].items()]
    about = "Share of traces that run code, by whether the base model is right without.\n\n"
    return about + table(["", *sizes], rows)


def _costs(found: Found) -> str:
    rows = []
    for name, system in found["systems"].items():
        part = system["groups"]["all"]
        cost = part["tokens per right answer"]
        figures = [f"{part['calls per problem']:.2f}", f"{part['tokens per sample']:.0f}"]
        rows.append([name, *figures, "-" if cost is None else f"{cost:.0f}"])
    about = "Tokens that the model sampled; for Hint-infer, also those of the thought it continues."
    head = ["", "calls per problem", "tokens per problem", "tokens per right answer"]
    return f"{about}\n\n{table(head, rows)}"


def _curves(found: Found) -> str:
    curves = found["rounds"]
    if not curves:
        return ""
    rows = []
    for at in zip(*curves.values(), strict=True):
        cells = [f"{shown(p['correct'])} ({p['tokens']:.0f}, {p['calls']:.1f})" for p in at]
        rows.append([str(at[0]["round"]), *cells])
    size = next(iter(curves.values()))[0]["problems"]
    about = f"{size} of the problems; in brackets tokens sampled and calls, mean.\n\n"
    return about + table(["round", *curves], rows)


def _counts(made: Found) -> str:
    """What a step that makes data or a model came to."""
    if "left out" in made:  # a curation
        reasons = ", ".join(f"{n} {name}" for name, n in made["left out"].items())
        kept = f"{made['kept']} of {made['rows']} rows kept, {made['with calls']} with calls"
        return f"{kept}, {made['tokens']} tokens; left out: {reasons or 'none'}"
    if "steps" in made:  # a training
        loss = f"loss {made['first loss']:.2f} to {made['last loss']:.2f}"
        tokens = round(made["tokens"] * made["epochs"])
        return f"{made['rows']} traces, {tokens} tokens in {made['steps']} steps, {loss}"
    kinds = ("samples", "failed", "correct", "with calls", "sampled tokens")
    counts = made.values()
    return ", ".join(f"{sum(c.get(kind, 0) for c in counts)} {kind}" for kind in kinds)


def examples(folder: Path) -> Iterator[str]:
    """A few problems that the base model gets wrong and START right, side by side (figure 2)."""
    base = {
        row.job.problem: row.result
        for row in read_rows(folder / "eval-base")
        if row.job.policy == "none" and not row.job.sample
    }
    found: dict[str, tuple[Mapping[str, Any], Found, Found]] = {}
    for row in read_rows(folder / "eval-start"):
        before, after, family = base.get(row.job.problem), row.result, row.job.input.get("family")
        if row.job.sample or str(family) in found or not (before and after):
            continue
        if "segments" not in after["trace"]:  # from an archive, without its texts
            continue
        if after["correct"] and after["calls"] and not before["correct"]:
            found[str(family)] = (row.job.input, before, after)
    trained = {str(row.job.input.get("family")) for row in read_rows(folder / "plain")}
    some = sorted(found, key=lambda family: family in trained)[:EXAMPLES]  # those kept first
    if some:
        yield "\n## The same problem, base and START\n"
    for problem, before, after in map(found.__getitem__, some):
        name, question = inline(problem.get("family") or problem["id"]), inline(problem["question"])
        yield f"\n### {name}\n\n> {question}\n\n"
        answers = [inline(result["answer"]) for result in (before, after)]
        yield f"Right: {inline(problem['gold'])}. The base model answers {answers[0]}:\n"
        yield _trace(before)
        yield f"\nSTART answers {answers[1]} (calls: {after['calls']}):\n"
        yield _trace(after)


def _trace(result: Found) -> str:
    trace = Trace.model_validate(result["trace"])
    text = "".join(s.text for s in trace.segments if s.source != "prompt")
    return f"\n{fenced(text.strip())}"


def picture(found: Found, path: Path) -> None:
    """Three panels: correct answers by system, rounds of hints, calls against difficulty."""
    figure = plots.figure(13, 4.2)
    right, rounds, calls = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    systems = found["systems"]
    groups = {
        group: [system["groups"][group]["pass@1"] for system in systems.values()]
        for group in found["groups"]
    }
    plots.bars(right, list(systems), groups)
    right.set_xlabel("percent right, 95 % intervals")
    for name, at in found["rounds"].items():
        plots.curve(rounds, [p["round"] for p in at], [p["correct"] for p in at], name)
    rounds.set_xlabel("rounds of hints")
    rounds.set_ylabel("percent right")
    if found["rounds"]:
        rounds.legend(fontsize=8)
    base, start = (systems[name]["families"] for name in ("base", SYSTEMS["start"]))
    hardest = sorted(base, key=lambda name: (base[name]["pass@1"]["value"], name))
    labels = [f"{name}, {base[name]['pass@1']['value']:.0f} %" for name in hardest]
    calls.barh(labels, [start[n]["calls per problem"] for n in hardest], color=plots.COLOURS[0])
    calls.tick_params(axis="y", labelsize=8)
    calls.invert_yaxis()
    calls.set_xlabel("START's calls (base: percent right)")
    plots.save(figure, path)
