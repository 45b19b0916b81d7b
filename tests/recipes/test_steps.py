"""Steps of a run: done once, in order, never mixed with those of another run."""

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")

from recipes import reproduce
from recipes.config import Config, read_config
from recipes.reproduce import chain, names
from recipes.reproduce.__main__ import main
from recipes.reproduce.steps import RECORD, Step, do, report_of
from recipes.settings import Curation, RolloutConfig, Training
from start_sdk import BackendError, ConfigError

CONFIG = Config(base="start-tiny-base")


class Done:
    """A chain of three steps that write down when they were done; one may fail."""

    def __init__(self, fails: str | None = None) -> None:
        self.log: list[str] = []
        self.fails = fails

    def run(self, folder: Path, config: Config = CONFIG) -> dict[str, float]:
        def work(folder: Path) -> dict[str, Any]:
            if folder.name == self.fails:
                raise BackendError("gone")
            folder.mkdir(parents=True, exist_ok=True)
            self.log.append(folder.name)
            return {"name": folder.name}

        steps = [
            Step("a", "first", "plain", "", work),
            Step("b", "second", "training", "a", work),
            Step("c", "third", "", "b", work),
        ]
        return do(steps, config, folder)


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    broken, whole, again = Done(fails="b"), Done(), Done()
    with pytest.raises(BackendError):
        broken.run(tmp_path)
    seconds = whole.run(tmp_path)
    assert (broken.log, whole.log) == (["a"], ["b", "c"])
    assert report_of(tmp_path / "b") == {"name": "b"} and list(seconds) == ["a", "b", "c"]
    again.run(tmp_path)
    assert again.log == []


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({"plain": RolloutConfig(samples=2)}, "a"),
        ({"seed": 1}, "a"),
        ({"hint": "general"}, "a"),
        ({"training": Training(epochs=1)}, "b"),
        ({"training": Training(save_steps=7, report_to=())}, None),
        ({"max_concurrency": 9}, None),
        ({"sampled": RolloutConfig(samples=3)}, None),
    ],
)
def test_a_folder_of_another_run_is_refused_before_any_work(
    tmp_path: Path, change: dict[str, Any], holds: str | None
) -> None:
    Done().run(tmp_path)
    (tmp_path / "a" / RECORD).replace(tmp_path / "kept")
    config, after = CONFIG.model_copy(update=change), Done()
    if holds == "a":  # then it is the first that is looked at
        (tmp_path / "kept").replace(tmp_path / "a" / RECORD)
    if holds is None:
        after.run(tmp_path, config)
        assert after.log == ["a"]
    else:
        with pytest.raises(ConfigError, match=rf"{holds}' was made with other options"):
            after.run(tmp_path, config)
        assert after.log == []


def test_a_record_that_is_none_is_named(tmp_path: Path) -> None:
    Done().run(tmp_path)
    (tmp_path / "b" / RECORD).write_text("{")
    with pytest.raises(ConfigError, match=r"step\.json' cannot be read"):
        Done().run(tmp_path)


def steps_of(config: Config, *controls: str) -> list[str]:
    """The steps that make data and models; each needs only what is done before it."""
    config = config.model_copy(update={"controls": controls})
    found: list[str] = []
    for step in chain(config, Path()):
        assert {*step.needs.split()} <= {*found}, step.name
        assert {*step.reads.split()} <= {*Config.model_fields}, step.name
        found.append(step.name)
    assert found == names(config)
    return [name for name in found if not name.startswith(("eval-", "rounds-"))]


def test_the_steps_of_a_run() -> None:
    seed, start = ["plain", "hinted", "d-seed", "start-0"], ["sampled", "d-start", "start"]
    assert steps_of(CONFIG) == [*seed, *start]
    assert steps_of(CONFIG, "text", "masked", "longer") == [
        *seed, "text", *start, "d-text", "text-rft", "masked", "longer",
    ]  # fmt: skip
    spared = CONFIG.model_copy(update={"start_data": Curation(rescued=False, easy_from=1)})
    assert steps_of(spared) == [*seed, "text", *start]
    assert steps_of(spared, "text") == [*seed, "text", *start, "d-text", "text-rft"]
    assert steps_of(CONFIG, "unselected")[-2:] == ["d-unselected", "unselected"]
    wrong = CONFIG.model_copy(update={"hinted": RolloutConfig(hints=("end",), only_wrong=True)})
    with pytest.raises(ConfigError, match=r"requires hinted\.only_wrong = false"):
        names(wrong)


CONFIGS = sorted((Path(reproduce.__file__).parents[1] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_that_comes_along_is_a_whole_run(path: Path) -> None:
    config = read_config(path)
    assert steps_of(config, *config.controls)[:4] == ["plain", "hinted", "d-seed", "start-0"]
    assert config.evaluation.suites and config.text.hints == ("no-tool",)
    assert "eval-start" in names(config)


@pytest.mark.torch
def test_bad_options_are_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.toml"
    file.write_text('base = "nothing"\n[problems.take]\ntiny = 1\n', encoding="utf-8")
    line = f"--config {file} --out {tmp_path / 'out'}"
    monkeypatch.setattr(sys, "argv", ["reproduce", *line.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "nothing" in error and "Traceback" not in error
