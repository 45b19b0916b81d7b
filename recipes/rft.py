"""Hint-RFT from problems to START, with controls (START, section 3).

    python -m recipes.rft --config recipes/configs/tiny.toml --out runs/x
    python -m recipes.rft --config recipes/configs/tiny.toml --set controls=[] --out runs/x

The base model is rolled out without and with hints. The traces whose answers the hints corrected
become D_seed; the base model trained on D_seed is START-0. START-0 samples every problem; one trace
per problem becomes D_START, and the base model, from its original weights, trained on it is START.

The setting `controls` adds controls: `text`, rejection sampling without a tool on the same
problems, trained on as many tokens as START; `unselected`, the same amount of seed data, whether or
not the model needed the hint (table 7 of the EMNLP version); `masked`, D_seed with hints excluded
from the loss.

Every stage has a folder in --out; the same command resumes an interrupted run. The stages can also
be run on their own: recipes.rollout, recipes.hint_rft, recipes.train_sft.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from recipes import experiment
from recipes.config import Config, command_line, given
from recipes.hint_rft import curate
from recipes.rollout import rollout
from recipes.stages import Pipeline, Stage
from recipes.train_sft import train
from start_sdk import ConfigError


def model_of(pipeline: Pipeline, stage: str) -> str:
    """The model that a training stage made."""
    return str(pipeline.path(stage) / "model")


def _plain(pipeline: Pipeline) -> dict[str, Any]:
    return rollout(pipeline.config, pipeline.path("plain"), pipeline.config.plain)


def _hinted(pipeline: Pipeline) -> dict[str, Any]:
    after = pipeline.path("plain")
    return rollout(pipeline.config, pipeline.path("hinted"), pipeline.config.hinted, after=after)


def _d_seed(pipeline: Pipeline) -> dict[str, Any]:
    rules, plain = pipeline.config.seed_data, pipeline.path("plain")
    return curate(
        pipeline.config, pipeline.path("d-seed"), rules, [pipeline.path("hinted")], plain=plain
    )


def _start_0(pipeline: Pipeline) -> dict[str, Any]:
    return _trained(pipeline, "start-0", "d-seed")


def _sampled(pipeline: Pipeline) -> dict[str, Any]:
    config = pipeline.config
    return rollout(
        config, pipeline.path("sampled"), config.sampled, model=model_of(pipeline, "start-0")
    )


def _text(pipeline: Pipeline) -> dict[str, Any]:
    return rollout(pipeline.config, pipeline.path("text"), pipeline.config.text)


def _d_start(pipeline: Pipeline) -> dict[str, Any]:
    rules, rollouts = pipeline.config.start_data, [pipeline.path("sampled")]
    easy = None if rules.easy_from is None else pipeline.path("text")
    if easy:
        rollouts.append(easy)
    return curate(pipeline.config, pipeline.path("d-start"), rules, rollouts, easy=easy)


def _start(pipeline: Pipeline) -> dict[str, Any]:
    return _trained(pipeline, "start", "d-start")


def _d_text(pipeline: Pipeline) -> dict[str, Any]:
    rules = pipeline.config.start_data.model_copy(update={"needs_call": False, "easy_from": None})
    return curate(pipeline.config, pipeline.path("d-text"), rules, [pipeline.path("text")])


def _text_rft(pipeline: Pipeline) -> dict[str, Any]:
    """As many tokens as START: fewer traces, more often."""
    more = pipeline.report("start")["tokens"] / pipeline.report("d-text")["tokens"]
    return _trained(pipeline, "text-rft", "d-text", epochs=pipeline.config.training.epochs * more)


def _d_unselected(pipeline: Pipeline) -> dict[str, Any]:
    size = pipeline.report("d-seed")["kept"]
    rules = pipeline.config.seed_data.model_copy(update={"rescued": False, "size": size})
    return curate(pipeline.config, pipeline.path("d-unselected"), rules, [pipeline.path("hinted")])


def _unselected(pipeline: Pipeline) -> dict[str, Any]:
    return _trained(pipeline, "unselected", "d-unselected")


def _masked(pipeline: Pipeline) -> dict[str, Any]:
    return _trained(pipeline, "masked", "d-seed", train_on=("model",))


def _trained(pipeline: Pipeline, name: str, data: str, **changes: Any) -> dict[str, Any]:
    """The base model trained on a training set: here, by `accelerate launch`, or before."""
    training = pipeline.config.training.model_copy(update=changes)
    config = pipeline.config.model_copy(update={"training": training})
    folder, file = pipeline.path(name), pipeline.path(data) / "data.jsonl"
    if training.accelerate is None or (folder / "training.json").exists():
        return train(config, folder, file)
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / "config.json"
    whole.write_text(config.model_dump_json(indent=1), encoding="utf-8")
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", training.accelerate,
        "-m", "recipes.train_sft", "--config", str(whole), "--data", str(file),
        "--out", str(folder),
    ]  # fmt: skip
    status = subprocess.run(command, check=False).returncode
    if status:
        raise ConfigError(f"the training of {name} ended with {status}: see its output above")
    report: dict[str, Any] = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    return report


SEED = (
    Stage("plain", "the base model without hints", ("plain",), (), _plain),
    Stage("hinted", "hints put into its thoughts", ("hinted",), ("plain",), _hinted),
    Stage("d-seed", "what hints turned right", ("seed_data", "evaluation"),
          ("plain", "hinted"), _d_seed),
    Stage("start-0", "the base model trained on D_seed", ("training",), ("d-seed",), _start_0),
)  # fmt: skip
TEXT = Stage("text", "the base model without a tool, sampled", ("text",), (), _text)
START = (
    Stage("sampled", "START-0, sampled", ("sampled",), ("start-0",), _sampled),
    Stage("d-start", "one right trace of each problem", ("start_data", "evaluation"),
          ("sampled",), _d_start),
    Stage("start", "the base model trained on D_START", ("training",), ("d-start",), _start),
)  # fmt: skip
CONTROLS = {
    "text": (
        TEXT,
        Stage("d-text", "one right text of each problem", ("start_data", "evaluation"),
              ("text",), _d_text),
        Stage("text-rft", "the base model trained on as many tokens of text", ("training",),
              ("d-text", "start"), _text_rft),
    ),
    "unselected": (
        Stage("d-unselected", "as much seed data, unselected", ("seed_data", "evaluation"),
              ("d-seed", "hinted"), _d_unselected),
        Stage("unselected", "the base model trained on it", ("training",),
              ("d-unselected",), _unselected),
    ),
    "masked": (
        Stage("masked", "the base model trained on D_seed, hints without loss", ("training",),
              ("d-seed",), _masked),
    ),
}  # fmt: skip


def stages(config: Config) -> list[Stage]:
    """All stages of a pipeline, each behind those that it needs.

    Raises:
        ConfigError: unselected seed data without hints for all problems.
    """
    if "unselected" in config.controls and config.hinted.only_wrong:
        raise ConfigError("the control `unselected` requires hinted.only_wrong = false")
    found = [*SEED, *START]
    if config.start_data.easy_from is not None:
        d_start = found.index(START[1])
        needs = (*START[1].needs, TEXT.name)
        found[d_start : d_start + 1] = [TEXT, _needing(START[1], needs)]
    for name in config.controls:
        found += [stage for stage in CONTROLS[name] if stage not in found]
    return found


def _needing(stage: Stage, needs: tuple[str, ...]) -> Stage:
    return Stage(stage.name, stage.about, stage.reads, needs, stage.work)


def main() -> int:
    """Hint-RFT; 2 for bad input, 130 for Ctrl-C."""
    parser = command_line("recipes.rft", __doc__)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    def body() -> None:
        config = given(options)
        Pipeline(config, options.out, stages(config)).go()

    return experiment.program(parser, body)


if __name__ == "__main__":
    sys.exit(main())
