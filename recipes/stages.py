"""A run in stages: each is a function with a folder, and runs exactly once, in order.

A finished stage writes `stage.json` to its folder, with a key of everything that it depends on: its
part of the config, the base model, the stages before it. The same command skips finished stages and
resumes the one that was stopped; a folder that belongs to another run is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes import experiment
from recipes.config import Config
from recipes.train_sft import ASIDE
from start_sdk import ConfigError
from start_sdk.batch import fingerprint, model_hash
from start_sdk.cli import say

COMMON = ("backend", "backend_options", "prompt", "seed", "limits", "problems")
"""Parts of the config that every stage depends on."""


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: of the stage, and of its folder.
        about: what it does, in a few words.
        reads: the parts of the config that it depends on, beside `COMMON`.
        needs: names of the stages whose folders it reads.
        work: does it, and goes on where it was stopped; returns its report, JSON.
    """

    name: str
    about: str
    reads: tuple[str, ...]
    needs: tuple[str, ...]
    work: Callable[[Pipeline], dict[str, Any]]


class Pipeline:
    """A folder of stages.

    Args:
        config: the run.
        folder: where each stage has a folder of its own.
        stages: all stages, each behind those that it needs.
    """

    def __init__(self, config: Config, folder: Path, stages: Sequence[Stage]) -> None:
        self.config = config
        self.folder = folder
        self.stages = {stage.name: stage for stage in stages}
        self._keys: dict[str, str] = {}

    def path(self, name: str) -> Path:
        """The folder of a stage."""
        return self.folder / name

    def report(self, name: str) -> dict[str, Any]:
        """The report of a stage that is finished."""
        found: dict[str, Any] = self._record(name)["report"]
        return found

    def seconds(self) -> dict[str, float]:
        """What the stages took, those that are finished; of a stopped one its last part."""
        names = [name for name in self.stages if self._file(name).exists()]
        return {name: float(self._record(name)["seconds"]) for name in names}

    def go(self) -> None:
        """Does what is not done yet.

        Raises:
            ConfigError: a folder holds a stage of another run; nothing is done then.
            StartError: a stage cannot be done; those before it stay.
        """
        finished = [name for name in self.stages if self._finished(name)]
        for number, (name, stage) in enumerate(self.stages.items(), 1):
            head = f"[{number}/{len(self.stages)}] {name}: {stage.about}"
            if name in finished:
                say(f"{head}: already done", error=True)
                continue
            say(head, error=True)
            began = time.monotonic()
            report = stage.work(self)
            seconds = round(time.monotonic() - began, 1)
            self._write(name, {"key": self.key(name), "seconds": seconds, "report": report})
            say(f"[{number}/{len(self.stages)}] {name}: {seconds:.0f} s", error=True)

    def key(self, name: str) -> str:
        """What a stage depends on."""
        if name not in self._keys:
            stage = self.stages[name]
            parts = self.config.model_dump(mode="json", include={*COMMON, *stage.reads})
            for option in ASIDE:
                parts.get("training", {}).pop(option, None)
            base = model_hash(experiment.model_name(self.config.base))
            needs = [self.key(need) for need in stage.needs]
            self._keys[name] = fingerprint([name, base, parts, needs])
        return self._keys[name]

    def _finished(self, name: str) -> bool:
        if not self._file(name).exists():
            return False
        if self._record(name)["key"] != self.key(name):
            raise ConfigError(
                f"{str(self.path(name))!r} was made with other options: give another --out, or "
                "remove that folder and the folders that depend on it"
            )
        return True

    def _file(self, name: str) -> Path:
        return self.path(name) / "stage.json"

    def _record(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{str(self._file(name))!r} cannot be read: {error}") from error
        return found

    def _write(self, name: str, record: dict[str, Any]) -> None:
        """Whole or not at all: this file is what says that a stage is finished."""
        unfinished = self.path(name) / "stage.json.part"
        unfinished.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(self._file(name))
