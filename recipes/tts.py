"""Sequential test-time scaling: accuracy against rounds of hints, and against tokens.

    python -m recipes.tts --n 10 --seeds 1 2 3 --rounds 4 --out runs/tts

START's figure 5 repeats hints before the end of thinking. This program compares that with two
baselines that start from the same first thought: longer thinking without a tool ("Wait" in place of
the end: budget forcing, s1, arXiv 2501.19393), and a majority vote over independent thoughts. All
are sampled at temperature 0.6. At each round, the baselines have the tokens that the hints had
sampled by then, problem by problem; steps that do not fit are left out, and the report says how
many thoughts a vote had.

The rows are those of three rollouts into one folder (rows.sqlite), the curves a question asked of
them (tts.md, tts.json, tts.png).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from recipes import plots, report
from recipes.command import out_of, program
from recipes.evaluate import command, named
from recipes.markup import inline, table
from recipes.questions import job_of
from recipes.report import by_problem, interval, results, shown
from recipes.rollout import rollout
from recipes.settings import RolloutConfig
from start_sdk import ConfigError
from start_sdk.batch import Row, read_rows
from start_sdk.cli import say
from start_sdk.grading.statistics import maj_at_k

WAYS = {"rounds": "hints, with Python", "wait": "longer thinking, no tool", "none": "majority vote"}
"""Policies that spend tokens on a problem; all begin with the first sample of `none`."""
TEMPERATURE = 0.6
Step = Mapping[str, Any]


def steps_of(rows: Sequence[Row]) -> dict[str, dict[str, list[Step]]]:
    """Of each problem that all ways were tried on, the steps of each way, with `tokens` so far."""
    found: dict[str, dict[str, list[Step]]] = {}
    for row in sorted(rows, key=lambda row: row.job.sample):
        if row.result:
            ways = found.setdefault(row.job.problem, {})
            steps = row.result.get("steps") or [row.result]
            ways.setdefault(row.job.policy.partition(":")[0], []).extend(steps)
    return {
        problem: {way: _summed(ways[way]) for way in WAYS}
        for problem, ways in found.items()
        if ways.keys() >= WAYS.keys()
    }


def _summed(steps: Sequence[Step]) -> list[Step]:
    tokens = 0
    made: list[Step] = []
    for step in steps:
        tokens += step["sampled"]
        made.append({**step, "tokens": tokens})
    return made


def right_within(way: str, steps: Sequence[Step], tokens: int) -> tuple[float, int, int]:
    """How right a way is with the steps that fit into so many tokens, the tokens and the steps.

    The first step is always there; it is the same thought for all ways.
    """
    fitting = [step for step in steps if step["tokens"] <= tokens] or list(steps[:1])
    used = int(fitting[-1]["tokens"])
    right = float(fitting[-1]["correct"])
    if way == "none":
        right = maj_at_k([s["answer"] for s in fitting], [s["correct"] for s in fitting])
    return right, used, len(fitting)


def curves(rows: Sequence[Row], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """For each way and round: accuracy with its interval, mean tokens, mean steps.

    The tokens of a round are, for each problem, those that the hints had used by then. A thought
    that a limit ended early counts with its last round.
    """
    asked = {problem: found[0].asked for problem, found in by_problem(results(rows)).items()}
    problems = steps_of(rows)
    if not problems:
        raise ConfigError("there are no rows to report: see rows.sqlite for what went wrong")
    made: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for way, curve in made.items():
        for number in range(rounds + 1):
            budgets = [s["rounds"][min(number, len(s["rounds"]) - 1)] for s in problems.values()]
            found = [
                right_within(way, steps[way], budget["tokens"])
                for steps, budget in zip(problems.values(), budgets, strict=True)
            ]
            curve.append(
                {
                    "round": number,
                    "accuracy": interval([f[0] for f in found], [asked[p] for p in problems]),
                    "tokens": fmean(f[1] for f in found),
                    "steps": fmean(f[2] for f in found),
                }
            )
    return made


def markdown(made: Mapping[str, Any]) -> str:
    """The curves as text."""
    lines = [inline(f"# Test-time scaling: {made['model']} on {made['suite']}"), ""]
    lines += [f"- {name}: {inline(value)}" for name, value in made.items() if name != "curves"]
    votes = made["curves"]["none"][-1]["steps"]
    lines += ["", "Percent right with 95 % intervals (mean tokens that were sampled).", ""]
    rows = []
    for number in range(made["rounds"] + 1):
        some = [made["curves"][way][number] for way in WAYS]
        cells = [f"{shown(point['accuracy'])} ({point['tokens']:.0f})" for point in some]
        rows.append([str(number), *cells])
    lines += [table(["round", *WAYS.values()], rows)]
    lines += [f"At the last round, a vote has {votes:.1f} thoughts on average."]
    return "\n".join(lines) + "\n"


def picture(made: Mapping[str, Any], path: Path) -> None:
    """Accuracy against rounds, and against tokens."""
    figure = plots.figure(9, 3.6)
    for axes, across in zip(figure.subplots(1, 2, sharey=True), ("round", "tokens"), strict=True):
        for way, label in WAYS.items():
            some = made["curves"][way]
            plots.curve(axes, [p[across] for p in some], [p["accuracy"] for p in some], label)
        axes.set_xlabel("rounds" if across == "round" else "tokens sampled, mean")
    figure.axes[0].set_ylabel("percent right, 95 % intervals")
    figure.axes[0].legend(fontsize=8)
    plots.save(figure, path)


def main() -> int:
    """The curves; 2 for bad input, 130 for Ctrl-C."""
    parser = command("recipes.tts", __doc__, suite="tiny", families="math", n=10)
    parser.add_argument("--rounds", type=int, default=4, help="of hints")
    parser.add_argument("--waits", type=int, default=8, help='times "Wait"')
    parser.add_argument("--votes", type=int, default=8, help="thoughts to vote over")
    options = parser.parse_args()

    def body() -> None:
        if min(options.rounds, options.waits, options.votes) < 1:
            raise ConfigError("--rounds, --waits and --votes must be at least 1")
        config, problems, title = named(options)
        folder = out_of(options)
        alone = RolloutConfig(samples=options.votes, temperature=TEMPERATURE)
        again = (f"rounds:{options.rounds}", f"wait:{options.waits}")
        longer = RolloutConfig(hints=again, temperature=TEMPERATURE)
        rollout(config, folder, alone, problems=problems)
        rollout(config, folder, longer, problems=problems, after=folder)
        names = {"none", *again}
        asked = {job_of(problem).problem for problem in problems}
        rows = [
            row
            for row in read_rows(folder)
            if row.job.policy in names
            and row.job.problem in asked
            and row.job.sample < options.votes
        ]
        made = {**title, "rounds": options.rounds, "problems": len(steps_of(rows))}
        made["curves"] = curves(rows, options.rounds)
        text = markdown(made)
        report.write(made, text, folder, "tts")
        picture(made, folder / "tts.png")
        say(text)

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
