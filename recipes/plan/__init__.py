"""Estimates what a run takes and checks whether it can start, without loading weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from recipes.config import Config
from recipes.plan import memory
from recipes.plan.checking import Base, Check, checks, launch
from recipes.plan.estimates import Estimator, durations, table
from recipes.plan.memory import Launch, Model
from recipes.plan.sources import counts, where_from
from recipes.stages import Stage
from start_sdk import StartError
from start_sdk.cli import say


def plan(config: Config, stages: Sequence[Stage]) -> int:
    """Prints what the stages take and what was checked.

    Returns:
        the exit status: 0, or 2 if something is broken.
    """
    base, problems = Base(config), counts(config)
    spread = _launch(config)
    estimator = Estimator(config, problems)
    estimates = [estimator.of(stage.name) for stage in stages]
    say(where_from(config, problems))
    say("\n".join(table(estimates)))
    say(durations(estimates, config.plan.rollout_devices, spread.processes))
    say()
    say("\n".join(memory.lines(config, _model(config, base), spread)))
    say()
    return _report(checks(config, base))


def _report(found: Iterable[Check]) -> int:
    """Prints checks as they come, and what is broken once more, on standard error."""
    broken = []
    for check in found:
        say(f"{check.state:13}{check.name}: {check.about}")
        if check.state == "broken":
            broken.append(check)
    for check in broken:
        say(f"broken: {check.name}: {check.about}", error=True)
    return 2 if broken else 0


def _model(config: Config, base: Base) -> Model | None:
    """The size of the model; why config.json cannot be read is said by the checks."""
    with suppress(StartError):
        return base.model()
    return memory.assumed(config)


def _launch(config: Config) -> Launch:
    """The same for the file of accelerate."""
    with suppress(StartError):
        return launch(config)
    return Launch(config.plan.training_devices, split=True)
