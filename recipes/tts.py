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
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from recipes import plots
from recipes.command import out_of, program
from recipes.evaluate import command, evaluate, named
from recipes.markup import heading, shown, table
from recipes.report import write
from recipes.settings import RolloutConfig
from start_sdk import ConfigError
from start_sdk.batch.scoring import Result, Systems, by_problem, mean, results, states, vote
from start_sdk.cli import say

WAYS = {"rounds": "hints, with Python", "wait": "longer thinking, no tool", "none": "majority vote"}
"""Policies that spend tokens on a problem; all begin with the first sample of `none`."""
TEMPERATURE = 0.6


def thoughts(samples: Iterable[Result]) -> list[Systems]:
    """Of each problem that all ways were tried on: the states of each way, after every step."""
    done = (sample for sample in samples if sample.how != "failed")
    found = []
    for some in by_problem(done).values():
        ways = {way: [s for s in some if s.policy.partition(":")[0] == way] for way in WAYS}
        if all(ways.values()):
            found.append({way: states(steps) for way, steps in ways.items()})
    return found


def within(steps: Sequence[Result], tokens: int) -> Sequence[Result]:
    """The steps that fit into so many tokens, and always the first: it is the same for all ways."""
    return [step for step in steps if step.sampled <= tokens] or steps[:1]


def curves(samples: Iterable[Result], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """For each way and round: accuracy with its interval, mean tokens, mean steps.

    The tokens of a round are, for each problem, those that the hints had used by then. A thought
    that a limit ended early counts with its last round.
    """
    problems = thoughts(samples)
    if not problems:
        raise ConfigError("there are no rows to report: see rows.sqlite for what went wrong")

    def point(way: str, number: int) -> dict[str, Any]:
        budgets = [ways["rounds"][: number + 1][-1].sampled for ways in problems]
        some = [within(p[way], tokens) for p, tokens in zip(problems, budgets, strict=True)]
        return {
            "round": number,
            "accuracy": mean(some, vote if way == "none" else lambda steps: steps[-1].correct),
            "tokens": fmean(steps[-1].sampled for steps in some),
            "steps": fmean(map(len, some)),
        }

    return {way: [point(way, number) for number in range(rounds + 1)] for way in WAYS}


def markdown(made: Mapping[str, Any]) -> str:
    """The curves as text."""
    found = made["curves"]
    facts = {name: value for name, value in made.items() if name != "curves"}
    cells = [[f"{shown(p['accuracy'])} ({p['tokens']:.0f})" for p in found[way]] for way in WAYS]
    rounds = table(["round", *WAYS.values()], zip(range(made["rounds"] + 1), *cells, strict=True))
    return f"""{heading(f"Test-time scaling: {made['model']} on {made['suite']}", facts)}
Percent right with 95 % intervals (mean tokens that were sampled).

{rounds}
At the last round, a vote has {found["none"][-1]["steps"]:.1f} thoughts on average.
"""


def picture(made: Mapping[str, Any]) -> Any:
    """Accuracy against rounds, and against tokens."""
    figure = plots.figure(9, 3.6)
    for axes, across in zip(figure.subplots(1, 2, sharey=True), ("round", "tokens"), strict=True):
        for way, label in WAYS.items():
            some = made["curves"][way]
            plots.curve(axes, [p[across] for p in some], [p["accuracy"] for p in some], label)
        axes.set_xlabel("rounds" if across == "round" else "tokens sampled, mean")
    figure.axes[0].set_ylabel("percent right, 95 % intervals")
    figure.axes[0].legend(fontsize=8)
    return figure


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
        hints = ("none", f"rounds:{options.rounds}", f"wait:{options.waits}")
        part = RolloutConfig(hints=hints, samples=options.votes, temperature=TEMPERATURE)
        folder = out_of(options)
        samples = results(evaluate(config, folder, problems, part, staged=True))
        made = {**title, "rounds": options.rounds, "problems": len(thoughts(samples))}
        made["curves"] = curves(samples, options.rounds)
        text = markdown(made)
        write(made, text, folder, "tts", picture(made))
        say(text)

    return program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
