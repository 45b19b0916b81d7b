"""Steps of a run: each has a folder, and is done once, in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.config import Config
from recipes.train_sft import ASIDE
from start_sdk import ConfigError
from start_sdk.batch import fingerprint, model_hash
from start_sdk.cli import say

Report = dict[str, Any]
COMMON = ("backend", "backend_options", "prompt", "template", "sampling", "limits", "conclude",
          "library", "hint", "seed", "problems")  # fmt: skip
"""Parts of the config that every step depends on."""
RECORD = "step.json"


Work = Callable[[Path], Report]
"""Does a step in its folder, and continues where it was stopped; returns its report."""


@dataclass(frozen=True)
class Step:
    """What a run does once, in a folder that is named like the step."""

    name: str
    about: str
    """What it does, in a few words."""
    reads: str
    """Parts of the config that it depends on, beside `COMMON`."""
    needs: str
    """Names of the steps whose folders it reads."""
    work: Work


def do(steps: Sequence[Step], config: Config, out: Path) -> dict[str, float]:
    """Does the steps that are not done yet, in order.

    A finished step has a step.json in its folder, with a key of all that it depends on.

    Returns:
        the seconds that each step took, by its name.

    Raises:
        ConfigError: a folder holds the step of another run; no work was done then.
    """
    keys = _keys(steps, config)
    seconds = _finished(keys, out)
    for step in steps:
        name, folder = step.name, out / step.name
        if name in seconds:
            say(f"{name}: {step.about}: already done", error=True)
            continue
        say(f"{name}: {step.about}", error=True)
        began = time.monotonic()
        report = step.work(folder)
        seconds[name] = round(time.monotonic() - began, 1)
        record = {"key": keys[name], "seconds": seconds[name], "report": report}
        unfinished = folder / f"{RECORD}.part"  # whole or not at all: it says that the step is done
        unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(folder / RECORD)
        say(f"{name}: {seconds[name]:.0f} s", error=True)
    return seconds


def _keys(steps: Sequence[Step], config: Config) -> dict[str, str]:
    """Hashes of all that the steps depend on, by their names."""
    base, keys = model_hash(config.base), dict[str, str]()
    for step in steps:
        parts = config.model_dump(mode="json", include={*COMMON, *step.reads.split()})
        for option in ASIDE:
            parts.get("training", {}).pop(option, None)
        needs = [keys[need] for need in step.needs.split()]
        keys[step.name] = fingerprint([step.name, base, parts, needs])
    return keys


def _finished(keys: Mapping[str, str], out: Path) -> dict[str, float]:
    """The seconds of the steps that are done.

    Raises:
        ConfigError: a folder holds the step of another run.
    """
    records = {name: _record(out / name) for name in keys if (out / name / RECORD).exists()}
    for name, record in records.items():
        if record["key"] != keys[name]:
            raise ConfigError(
                f"{str(out / name)!r} was made with other options: give another --out, or remove "
                "that folder and the folders that depend on it"
            )
    return {name: record["seconds"] for name, record in records.items()}


def report_of(folder: Path) -> Report:
    """The report of a finished step.

    Raises:
        ConfigError: it cannot be read.
    """
    report: Report = _record(folder)["report"]
    return report


def _record(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(folder / RECORD)!r} cannot be read: {error}") from error
    return found
