"""Stages of a run: done once, in order, never mixed with those of another run."""

import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")

from recipes import rft
from recipes.config import Config, read_config
from recipes.settings import Curation, RolloutConfig, Training
from recipes.stages import Pipeline, Stage
from start_sdk import BackendError, ConfigError

CONFIG = Config(base="start-tiny-base")


class Done:
    """Stages that write down when they were done; one may fail."""

    def __init__(self, fails: str | None = None) -> None:
        self.log: list[str] = []
        self.fails = fails

    def stages(self) -> list[Stage]:
        def work(name: str) -> Any:
            def done(run: Pipeline) -> dict[str, Any]:
                if name == self.fails:
                    raise BackendError("gone")
                run.path(name).mkdir(parents=True, exist_ok=True)
                self.log.append(name)
                return {"name": name}

            return done

        return [
            Stage("a", "first", ("plain",), (), work("a")),
            Stage("b", "second", ("training",), ("a",), work("b")),
            Stage("c", "third", (), ("b",), work("c")),
        ]


def test_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    broken = Done(fails="b")
    with pytest.raises(BackendError):
        Pipeline(CONFIG, tmp_path, broken.stages()).go()
    whole = Done()
    run = Pipeline(CONFIG, tmp_path, whole.stages())
    run.go()
    assert (broken.log, whole.log) == (["a"], ["b", "c"])
    assert run.report("b") == {"name": "b"} and list(run.seconds()) == ["a", "b", "c"]
    again = Done()
    Pipeline(CONFIG, tmp_path, again.stages()).go()
    assert again.log == []


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({"plain": RolloutConfig(samples=2)}, "a"),
        ({"seed": 1}, "a"),
        ({"training": Training(epochs=1)}, "b"),
        ({"training": Training(save_steps=7, report_to=())}, None),
        ({"max_concurrency": 9}, None),
        ({"sampled": RolloutConfig(samples=3)}, None),
    ],
)
def test_a_folder_of_another_run_is_refused_before_any_work(
    tmp_path: Path, change: dict[str, Any], holds: str | None
) -> None:
    Pipeline(CONFIG, tmp_path, Done().stages()).go()
    (tmp_path / "c" / "stage.json").unlink()
    after = Done()
    run = Pipeline(CONFIG.model_copy(update=change), tmp_path, after.stages())
    if holds is None:
        run.go()
        assert after.log == ["c"]
    else:
        with pytest.raises(ConfigError, match=rf"{holds}' was made with other options"):
            run.go()
        assert after.log == []


def test_a_record_that_is_none_is_named(tmp_path: Path) -> None:
    Pipeline(CONFIG, tmp_path, Done().stages()).go()
    (tmp_path / "b" / "stage.json").write_text("{")
    with pytest.raises(ConfigError, match=r"stage\.json' cannot be read"):
        Pipeline(CONFIG, tmp_path, Done().stages()).go()


def names(config: Config, *controls: str) -> list[str]:
    found = rft.stages(config.model_copy(update={"controls": controls}))
    for number, stage in enumerate(found):
        assert set(stage.needs) <= {before.name for before in found[:number]}, stage.name
    return [stage.name for stage in found]


def test_the_stages_of_a_run() -> None:
    seed = ["plain", "hinted", "d-seed", "start-0"]
    assert names(CONFIG) == [*seed, "sampled", "d-start", "start"]
    assert names(CONFIG, "text", "masked") == [
        *seed, "sampled", "d-start", "start", "text", "d-text", "text-rft", "masked",
    ]  # fmt: skip
    spared = CONFIG.model_copy(update={"start_data": Curation(rescued=False, easy_from=1)})
    chain = [*seed, "sampled", "text", "d-start", "start"]
    assert names(spared) == chain
    assert names(spared, "text") == [*chain, "d-text", "text-rft"]
    assert names(CONFIG, "unselected")[-2:] == ["d-unselected", "unselected"]
    wrong = CONFIG.model_copy(update={"hinted": RolloutConfig(hints=("end",), only_wrong=True)})
    with pytest.raises(ConfigError, match=r"requires hinted\.only_wrong = false"):
        rft.stages(wrong)


CONFIGS = sorted((Path(rft.__file__).parent / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_that_comes_along_is_a_whole_run(path: Path) -> None:
    config = read_config(path)
    assert names(config, *config.controls)[:4] == ["plain", "hinted", "d-seed", "start-0"]
    assert config.evaluation.suites and config.text.python is False


@pytest.mark.torch
def test_bad_options_are_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.toml"
    file.write_text('base = "nothing"\n[problems.take]\ntiny = 1\n', encoding="utf-8")
    line = f"--config {file} --out {tmp_path / 'out'}"
    monkeypatch.setattr(sys, "argv", ["rft", *line.split()])
    with pytest.raises(SystemExit) as ended:
        rft.main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "nothing" in error and "Traceback" not in error
