"""Estimates what a run takes and checks whether it can start, without loading weights."""

from __future__ import annotations

import sys
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


def plan(config: Config, stages: Sequence[Stage]) -> int:
    """Prints what the stages take and what was checked.

    Returns:
        the exit status: 0, or 2 if something is broken.
    """
    base, problems = Base(config), counts(config)
    spread = _launch(config)
    estimator = Estimator(config, problems)
    estimates = [estimator.of(stage.name) for stage in stages]
    print(where_from(config, problems))
    print(*table(estimates), sep="\n")
    print(durations(estimates, config.plan.rollout_devices, spread.processes))
    print()
    print(*memory.lines(config, _model(config, base), spread), sep="\n")
    print()
    return _report(checks(config, base))


def _report(found: Iterable[Check]) -> int:
    """Prints checks as they come, and what is broken once more, on standard error."""
    broken = []
    for check in found:
        print(f"{check.state:13}{check.name}: {check.about}", flush=True)
        if check.state == "broken":
            broken.append(check)
    for check in broken:
        print(f"broken: {check.name}: {check.about}", file=sys.stderr)
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
