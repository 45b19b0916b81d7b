"""Steps of a run: each has a folder, and is done once, in order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

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


class Step(Protocol):
    """Does one step of a chain, or notes it down."""

    def __call__(
        self, name: str, work: Callable[[Path], Report], about: str, reads: str, needs: str = ""
    ) -> None:
        """Args:
        name: of the step, and of its folder.
        work: does it in that folder, and continues where it was stopped; returns its report.
        about: what it does, in a few words.
        reads: parts of the config that it depends on, beside `COMMON`.
        needs: names of the steps whose folders it reads.
        """


class Steps:
    """Does each step of a chain once, and skips those that are done.

    A finished step writes step.json to its folder, with a key of all that it depends on. A folder
    that belongs to another run is refused; with `check` as the step of a chain, before any work.
    """

    def __init__(self, config: Config, out: Path) -> None:
        self._config = config
        self._out = out
        self._base = model_hash(config.base)
        self._keys: dict[str, str] = {}
        self.seconds: dict[str, float] = {}

    def __call__(
        self, name: str, work: Callable[[Path], Report], about: str, reads: str, needs: str = ""
    ) -> None:
        self.check(name, work, about, reads, needs)
        if name in self.seconds:
            say(f"{name}: {about}: already done", error=True)
            return
        say(f"{name}: {about}", error=True)
        folder, began = self._out / name, time.monotonic()
        report = work(folder)
        self.seconds[name] = round(time.monotonic() - began, 1)
        record = {"key": self._keys[name], "seconds": self.seconds[name], "report": report}
        unfinished = folder / f"{RECORD}.part"  # whole or not at all: it says that the step is done
        unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(folder / RECORD)
        say(f"{name}: {self.seconds[name]:.0f} s", error=True)

    def check(
        self, name: str, work: Callable[[Path], Report], about: str, reads: str, needs: str = ""
    ) -> None:
        """Notes what a step depends on, and whether it is done.

        Raises:
            ConfigError: its folder holds the step of another run.
        """
        parts = self._config.model_dump(mode="json", include={*COMMON, *reads.split()})
        for option in ASIDE:
            parts.get("training", {}).pop(option, None)
        before = [self._keys[need] for need in needs.split()]
        self._keys[name] = fingerprint([name, self._base, parts, before])
        folder = self._out / name
        if (folder / RECORD).exists():
            record = record_of(folder)
            if record["key"] != self._keys[name]:
                raise ConfigError(
                    f"{str(folder)!r} was made with other options: give another --out, or remove "
                    "that folder and the folders that depend on it"
                )
            self.seconds[name] = record["seconds"]


def record_of(folder: Path) -> Report:
    """What a finished step wrote down.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        found: Report = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(folder / RECORD)!r} cannot be read: {error}") from error
    return found


def report_of(folder: Path) -> Report:
    """The report of a finished step; the same error."""
    report: Report = record_of(folder)["report"]
    return report
