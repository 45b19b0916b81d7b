"""The report of a run: report.json, report.md and report.png."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from recipes import plots, report
from recipes.markup import fenced, grid, inline, shown
from recipes.reproduce.results import HINTED, KEPT, SYSTEMS, Found, Run, collect
from start_sdk import Trace
from start_sdk.batch import read_rows
from start_sdk.batch.scoring import Parts, Score, across

EXAMPLES = 3
Lines = Iterator[tuple[object, dict[str, object]]]


def write_report(runs: Sequence[Run], folder: Path) -> Found:
    """Writes report.json, report.md and report.png: of one run, or of several seeds together."""
    found = collect(runs)
    text = markdown(found) + "".join(examples(runs[0][1], found["groups"].get(KEPT, ())))
    report.write(found, text, folder, figure=picture(found))
    return found


def markdown(found: Found) -> str:
    """The report as text, without the examples; sections without a table are left out."""
    seeds, suites = ", ".join(map(str, found["seeds"])), inline(", ".join(found["suites"]))
    text = f"# Hint-RFT from {inline(found['base model'])}\n\n"
    text += f"{found['problems']} held-out problems of {suites}; seed {seeds}. "
    text += "Percent, with 95 % intervals.\n"
    for name, about, table in sections(found):
        if table:
            text += "\n\n".join(filter(None, (f"\n## {name}", about, table)))
    return text


def sections(found: Found) -> Iterator[tuple[str, str, str]]:
    """The heading of each section, what there is to say below it, and its table."""
    systems, main = found["systems"], _main(found)
    yield "Right answers", "", _right(found, {name: systems[name] for name in main})
    others = [(name, by_group(found, name)) for name in systems if name not in main]
    yield "Right answers of other systems", "", grid(others)
    about = "Right answers of each seed's own data and training, and their standard deviation."
    yield "Between seeds", about, grid(_seeds(found))
    about = "Points, paired by problem. The hint is the one that is best on these very problems."
    gains = found["gains"].items()
    signed = ((name, {part: shown(of[part], "+") for part in of}) for name, of in gains)
    yield "Gains", about, grid(signed)
    about = "Share of traces that run code, by whether the base model is right without."
    yield "Where Python is called", about, grid(_calls(found))
    about = "Tokens that the model sampled; for Hint-infer, also those of the thought it continues."
    costs = ((name, report.costs(parts["all"])) for name, parts in systems.items())
    yield "Cost", about, grid(costs)
    few = max((at[0]["problems"] for at in found["rounds"].values()), default=0)
    about = f"{few} of the problems; in brackets tokens sampled and calls, mean."
    yield "Rounds of hints", about, grid(_rounds(found), "round")
    about = "Samples that only one of our judge and the suite's own grader finds right."
    apart = found["disagreements"].items()
    yield "Where the graders disagree", about, grid(apart, "problem, system, sample")
    stages = found["data"].items()
    data = ((name, {"what came of it": " / ".join(map(_counts, of))}) for name, of in stages)
    yield "Data", "", grid(data, "stage").replace("---:", "---")


def _main(found: Found) -> list[str]:
    """The systems of START's table 1."""
    order = (*(SYSTEMS[n] for n in ("no-tool", "base", "text-rft")), found["best hint"])
    systems = (*order, SYSTEMS["start-0"], SYSTEMS["start"])
    return [name for name in systems if name in found["systems"]]


def _right(found: Found, main: Mapping[str, Parts]) -> str:
    """START's table 1: families, those that were not trained on last, and groups of them."""
    groups, base = found["groups"], main["base"]
    kept = groups.get(KEPT, ())
    labels = {name: f"{name} ({KEPT})" if name in kept else name for name in base}
    labels |= {name: f"**{name}**" for name in groups}
    scores = across({name.replace(HINTED, "Hint-infer, "): main[name] for name in main})
    order = sorted(scores, key=lambda name: (name in groups, name in kept))
    return grid(
        (labels[part], {"problems": base[part]["problems"], **scores[part]}) for part in order
    )


def by_group(found: Found, name: str) -> dict[str, Score]:
    """Right answers of a system in each group of families."""
    return {group: found["systems"][name][group]["pass@1"] for group in found["groups"]}


def _seeds(found: Found) -> Lines:
    seeds = [f"seed {seed}" for seed in found["seeds"]]
    for name, values in found["by seed"].items():
        if len(seeds) > 1:
            shares = [f"{value:.1f}" for value in (*values, stdev(values))]
            yield name, dict(zip((*seeds, "sd"), shares, strict=True))


def _calls(found: Found) -> Lines:
    heads = {part: f"{part} ({of['problems']})" for part, of in found["calls"]["base"].items()}
    for name, parts in found["calls"].items():
        yield name, {heads[part]: of["with calls"] for part, of in parts.items()}


def _rounds(found: Found) -> Lines:
    for at in zip(*found["rounds"].values(), strict=True):
        cells: dict[str, object] = {}
        for name, of in zip(found["rounds"], at, strict=True):
            spent = f"({of['tokens']:.0f}, {of['calls per problem']:.1f})"
            cells[name] = f"{shown(of['pass@1'])} {spent}"
        yield at[0]["round"], cells


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


def examples(folder: Path, first: Collection[str] = ()) -> Iterator[str]:
    """A few problems that the base model gets wrong and START right, side by side (figure 2).

    Args:
        folder: of the run.
        first: families that are shown first.
    """
    base = {
        row.job.problem: row.result
        for row in read_rows(folder / "eval-base")
        if row.job.policy == "none" and not row.job.sample
    }
    found: dict[str, tuple[Found, Found, Found]] = {}
    for row in read_rows(folder / "eval-start"):
        problem, before, after = dict(row.job.input), base.get(row.job.problem), row.result
        if row.job.sample or not (before and after) or "segments" not in after["trace"]:
            continue  # it failed, or it is from an archive, without its texts
        if after["correct"] and after["calls"] and not before["correct"]:
            found.setdefault(str(problem.get("family")), (problem, before, after))
    some = sorted(found, key=lambda family: family not in first)[:EXAMPLES]
    if some:
        yield "\n## The same problem, base and START\n"
    for problem, before, after in map(found.__getitem__, some):
        name, question = problem.get("family") or problem["id"], inline(problem["question"])
        yield f"\n### {inline(name)}\n\n> {question}\n\nRight: {inline(problem['gold'])}. "
        yield f"The base model answers {inline(before['answer'])}:\n\n{_thought(before)}"
        yield f"\nSTART answers {inline(after['answer'])} (calls: {after['calls']}):\n\n"
        yield _thought(after)


def _thought(result: Found) -> str:
    trace = Trace.model_validate(result["trace"])
    return fenced("".join(s.text for s in trace.segments if s.source != "prompt").strip())


def picture(found: Found) -> Any:
    """Right answers by system, calls against difficulty, rounds of hints, losses of trainings."""
    panels = [_show_right, _show_calls]
    panels += [_show_rounds] if found["rounds"] else []
    panels += [_show_losses] if found["losses"] else []
    ratios = [1.5, *[1] * (len(panels) - 1)]
    figure = plots.figure(3.7 * sum(ratios), 4.2)
    every = figure.subplots(1, len(panels), width_ratios=ratios)
    for show, axes in zip(panels, every, strict=True):
        show(axes, found)
    return figure


def _show_right(axes: Any, found: Found) -> None:
    plots.bars(axes, {name: by_group(found, name) for name in found["systems"]})
    axes.set_xlabel("percent right, 95 % intervals")


def _show_rounds(axes: Any, found: Found) -> None:
    for name, at in found["rounds"].items():
        plots.curve(axes, [p["round"] for p in at], [p["pass@1"] for p in at], name)
        axes.legend(fontsize=8)
    axes.set(xlabel="rounds of hints", ylabel="percent right")


def _show_losses(axes: Any, found: Found) -> None:
    for name, curve in found["losses"].items():
        axes.plot(*zip(*curve, strict=True), label=name, linewidth=0.8)
    axes.set(xlabel="tokens trained on", ylabel="loss", ylim=(0, None))
    axes.legend(fontsize=8)


def _show_calls(axes: Any, found: Found) -> None:
    """START's calls against how hard a family is for the base model."""
    base, start = (found["systems"][name] for name in ("base", SYSTEMS["start"]))
    families = sorted(base.keys() - found["groups"].keys())
    right = {family: base[family]["pass@1"]["value"] for family in families}
    hardest = sorted(families, key=right.__getitem__)
    labels = [f"{family}, {right[family]:.0f} %" for family in hardest]
    calls = [start[family]["calls per problem"] for family in hardest]
    axes.barh(labels, calls, color=plots.COLOURS[0])
    axes.tick_params(axis="y", labelsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("START's calls (base: percent right)")
