"""What a run will take: numbers that can be counted by hand; no weights, no network."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("trl")

from recipes import rft
from recipes.config import Config, read_config
from recipes.plan import memory, sources
from recipes.plan.__main__ import main
from recipes.plan.estimates import Counts, Estimate, Estimator, steps
from recipes.plan.memory import Launch, Model
from recipes.settings import Lora, Plan, Training
from start_sdk import models

CONFIGS = Path(rft.__file__).parent / "configs"
MATH = {"problem": "What is 2 + 2?", "solution": "It is \\boxed{4}."}


def small(base: str | Path, **changes: Any) -> Config:
    return read_config(CONFIGS / "tiny.toml", {"base": str(base), "controls": [], **changes})


def stages_of(config: Config) -> list[str]:
    pytest.importorskip("math_verify")
    pytest.importorskip("matplotlib")
    from recipes import reproduce

    return [stage.name for stage in reproduce.stages(config)]


def test_the_miniatures_numbers_are_those_counted_by_hand() -> None:
    config = read_config(CONFIGS / "tiny.toml")
    estimator = Estimator(config, sources.counts(config))
    found = {name: estimator.of(name) for name in stages_of(config)}
    # 10 families x 30 problems are trained on; 12 families x 10 problems x 3 seeds are held out.
    sampled = {
        "plain": 300 * 180,
        "hinted": 300 * 3 * 80,
        "sampled": 300 * 4 * 255,
        "text": 300 * 4 * 180,
        "eval-base": 360 * 180,
        "eval-hinted": 360 * 3 * 80,
        "eval-text-rft": 360 * 180,
        "eval-start-0": 360 * 255,
        "eval-start": 360 * 255,
        "eval-unselected": 360 * 255,
        "eval-masked": 360 * 255,
        "rounds-base": 12 * 5 * 3 * 80,
        "rounds-start": 12 * 5 * 3 * 80,
    }
    assert {n: e.sampled for n, e in found.items() if e.sampled} == sampled
    seed, start = 180 * (180 + 80 + 40) * 4, 300 * (255 + 40) * 4
    trained = {"start-0": seed, "start": start, "text-rft": start, "unselected": seed}
    trained["masked"] = seed
    assert {n: e.trained for n, e in found.items() if e.trained} == pytest.approx(trained)
    # 180 rows in batches of 16 are 12 steps, 300 are 19; of the 147 texts, 10 in an epoch.
    epochs = start / (147 * (180 + 40))
    made = {"start-0": 12 * 4, "start": 19 * 4, "unselected": 12 * 4, "masked": 12 * 4}
    made["text-rft"] = int(10 * epochs) + 1
    assert {n: e.steps for n, e in found.items() if e.steps} == made
    assert found["plain"].hours == pytest.approx(54_000 / 1500 / 3600)
    assert found["start"].hours == pytest.approx(start / 3900 / 3600)
    assert found["d-seed"].what == "180 rows" and found["d-text"].what == "147 rows"
    assert found["report"] == Estimate("report")


def test_what_is_not_assumed_is_as_large_as_it_can_be() -> None:
    config = small("start-tiny-base", plan={}, **{"hinted.only_wrong": True})
    estimator = Estimator(config, Counts({"tiny": 7, "codeforces": 2}, {}))
    assert estimator.of("plain").sampled == 9 * 640 and estimator.of("plain").hours is None
    assert estimator.of("hinted").sampled == 7 * 3 * 640  # the hint of code problems is not named
    assert estimator.rows("d-seed") == estimator.rows("d-start") == 9
    assert estimator.row_tokens("d-seed") == 1024  # two thoughts of 640, but for the length
    right = config.model_copy(update={"plan": Plan(correct=0.4)})
    assert Estimator(right, Counts({"tiny": 10}, {})).rows("d-seed") == 6  # only what was wrong
    assert Estimator(right, Counts({"tiny": 10}, {})).of("hinted").sampled == 6 * 3 * 640


def test_code_problems_have_the_debug_hint_alone() -> None:
    config = small("start-tiny-base", plan={}, **{"hinted.hints": ["none", "end", "debug"]})
    line = Estimator(config, Counts({"math": 10, "codeforces": 5}, {})).of("hinted")
    assert line.what == "15 x 2 hints x 1 x 640 tokens" and line.sampled == 15 * 2 * 640
    config = small("start-tiny-base", plan={}, **{"hinted.hints": ["end", "end", "debug"]})
    line = Estimator(config, Counts({"math": 10, "codeforces": 5}, {})).of("hinted")
    assert line.what == "(10 x 2 hints + 5) x 1 x 640 tokens" and line.sampled == 25 * 640


def test_steps_are_the_trainers() -> None:
    assert steps(180, 300, 4, Training(batch=16)) == 48
    assert steps(17, 300, 1.5, Training(batch=16)) == 3
    packed = Training(batch=2, packing=True, max_length=1000)  # three rows of 300 in one
    assert steps(10, 300, 1, packed) == 2


def test_the_memory_is_a_sum_that_can_be_checked() -> None:
    config = read_config(CONFIGS / "qwq-32b.toml")
    model = memory.assumed(config)
    assert model is not None and model == Model(32_763_876_352, 262_144, "as [plan] says")
    split = memory.lines(config, model, Launch(32, split=True))
    assert "16 bytes x 32,763,876,352 = 488.2 GiB, split over 32 devices: 15.3 GiB" in split[1]
    assert "256 at once x 32,768 tokens (2,048.0 GiB), over 8 devices: 263.6 GiB" in split[3]
    whole = memory.lines(config, model, Launch(32, split=False))
    assert "the same on each of 32 devices: 488.2 GiB each" in whole[1]
    training = Training(lora=Lora(rank=2))
    adapted = config.model_copy(update={"training": training})
    tuned = memory.lines(adapted, replace(model, adapters=2**20), Launch(1, split=True))
    assert "2 bytes x 32,763,876,352 + 16 bytes x 1,048,576 of adapters = 61.0 GiB" in tuned[1]
    assert memory.lines(config, None, Launch(1, split=True))[0].startswith("memory: not known")


def test_the_size_of_a_model_is_counted_from_its_config() -> None:
    from safetensors import safe_open

    folder = models.folder("start-tiny-base")
    assert folder is not None
    with safe_open(folder / "model.safetensors", "pt") as weights:
        names = weights.keys()
        count = sum(weights.get_tensor(name).numel() for name in names)
    lora = small("start-tiny-base", **{"training.lora": {"rank": 2}})
    found = memory.read(folder, lora)
    assert found.parameters == count
    assert found.cache_bytes == 5 * 2 * 4 * 32 * 4  # layers x both x heads x size x float32
    assert (found.stored, found.longest) == (4, 2048)
    # Of each of 5 layers: queries, keys, values, outputs 128 x 128; three of 128 x 352.
    assert found.adapters == 2 * 5 * (4 * (128 + 128) + 3 * (128 + 352))


def test_rows_of_parquet_are_counted_without_reading_them_all(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    file = tmp_path / "math.parquet"
    parquet.write_table(pa.Table.from_pylist([MATH] * 5), file)
    config = small("start-tiny-base", **{"problems.sources": [f"math={file}"]})
    assert sources.counts(config).training == {"math": 5}
    assert sources.check_source(f"math={file}", config).startswith("5 rows")
    fewer = small(
        "start-tiny-base", **{"problems.sources": [f"math={file}"], "problems.take": {"math": 3}}
    )
    assert sources.counts(fewer).training == {"math": 3}


def test_the_program_ends_with_2_for_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["plan", "--config", str(CONFIGS / "tiny.toml"), "--set", "plan.correct=0.5"]
    monkeypatch.setattr(sys, "argv", line)
    assert main() == 0
    assert "150 rows" in capsys.readouterr().out  # of 300, half of which were wrong
    monkeypatch.setattr(sys, "argv", [*line, "backend=nothing"])
    assert main() == 2
    assert capsys.readouterr().err.startswith("broken: backend: ")
    monkeypatch.setattr(sys, "argv", [*line, "plan.corect=0.5"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "corect" in capsys.readouterr().err
