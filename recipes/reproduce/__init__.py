"""The whole of Hint-RFT as one run: data, models, controls, evaluations, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes import rft
from recipes.config import Config, read_config
from recipes.reproduce import evaluations
from recipes.reproduce.report import markdown, write_report
from recipes.stages import Pipeline, Stage
from start_sdk import ConfigError
from start_sdk.cli import say

CONFIG = "config.json"
ASIDE = {"seed", "max_concurrency", "plan", "grpo"}
"""Of a config, what may differ between the pipelines of one report."""


def stages(config: Config) -> list[Stage]:
    """All stages of a run."""
    made = [*rft.stages(config), *evaluations.stages(config)]
    names = tuple(stage.name for stage in made)
    return [*made, Stage("report", "tables and pictures", (), names, _report)]


def _report(pipeline: Pipeline) -> dict[str, Any]:
    return write_report([pipeline], pipeline.path("report"))


def reproduce(config: Config, folder: Path) -> None:
    """Does what is not done yet, and prints the report and what the stages took."""
    pipeline = Pipeline(config, folder, stages(config))
    folder.mkdir(parents=True, exist_ok=True)
    pipeline.go()
    (folder / CONFIG).write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    say(markdown(pipeline.report("report")))
    took = pipeline.seconds()
    say(", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items()))
    say(f"In all {sum(took.values()) / 60:.1f} minutes.")


def pool(folders: Sequence[Path], out: Path) -> None:
    """One report of several finished pipelines.

    Raises:
        ConfigError: a folder holds no finished run, or their configs differ in more than the seed.
    """
    pipelines = []
    for folder in folders:
        config = read_config(folder / CONFIG)
        pipelines.append(Pipeline(config, folder, stages(config)))
    if len({pipeline.config.model_dump_json(exclude=ASIDE) for pipeline in pipelines}) > 1:
        raise ConfigError("--pool: the runs differ in more than their seeds")
    say(markdown(write_report(pipelines, out)))
