"""What a run will take: numbers that can be counted by hand; no weights, no network."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("trl")

from recipes.config import Config, read_config
from recipes.plan import plan
from recipes.reproduce import names
from recipes.reproduce.__main__ import main
from start_sdk import models

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"
Numbers = Callable[[Config], dict[str, list[str]]]


MEASURED = {
    "thought": 180, "hinted_thought": 80, "start_thought": 255, "spliced": 40, "correct": 0.38,
    "seed_share": 0.6, "start_share": 1.0, "text_share": 0.49,
}  # fmt: skip


def small(**changes: Any) -> Config:
    """The miniature's config, of math alone, with figures of its own."""
    plan = {f"plan.{name}": value for name, value in MEASURED.items()}
    return read_config(CONFIGS / "tiny.toml", {"problems.families": "math", **plan, **changes})


def lines(config: Config, capsys: pytest.CaptureFixture[str]) -> list[str]:
    plan(config, names(config))
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def estimated(capsys: pytest.CaptureFixture[str]) -> Numbers:
    """The rows of both tables by step."""

    def rows(config: Config) -> dict[str, list[str]]:
        found = [line.split() for line in lines(config, capsys) if line]
        tables = found[1 : [row[0] for row in found].index("training:")]
        return {row[0]: row[1:] for row in reversed(tables)}  # the first sum, of the samples

    return rows


def test_the_miniatures_numbers_are_those_counted_by_hand(estimated: Numbers) -> None:
    found = estimated(small())
    # 10 families x 30 problems are trained on; 12 families x 10 problems x 3 seeds are held out.
    sampled = {
        "plain": (300, 180),
        "hinted": (300 * 3, 80),
        "sampled": (300 * 4, 255),
        "text": (300 * 4, 180),
        "eval-base": (360 * 2, 180),
        "eval-hinted": (360 * 3, 80),
        "eval-text-rft": (360, 180),
        "eval-start-0": (360, 255),
        "eval-start": (360, 255),
        "eval-unselected": (360, 255),
        "eval-masked": (360, 255),
        "rounds-base": (12 * 5 * 3, 80),
        "rounds-start": (12 * 5 * 3, 80),
    }
    for step, (thoughts, tokens) in sampled.items():
        about = f"{thoughts:,} thoughts x {tokens} tokens {thoughts * tokens:,}"
        assert " ".join(found[step]).startswith(about), step
    seed = f"180 rows x {180 + 80 + 40} tokens x 4 epochs {180 * 300 * 4:,}"
    trained = {
        "start-0": seed,
        "unselected": seed,
        "masked": seed,
        "start": f"300 rows x {255 + 40} tokens x 4 epochs {300 * 295 * 4:,}",
        "text-rft": f"147 rows x {180 + 40} tokens x 10.95 epochs {300 * 295 * 4:,}",
    }
    for step, about in trained.items():
        assert " ".join(found[step]).startswith(about), step
    assert found["sampled"][-1] == f"{306_000 / 1500 / 3600:.2f}"
    assert found["start"][-1] == f"{354_000 / 3900 / 3600:.2f}"
    assert found.keys() == {"step", *sampled, *trained, "together"}
    assert found["together"] == ["1", "devices:", "0.25", "hours", "1,324,800", "0.25"]


def test_what_is_not_assumed_is_as_large_as_it_can_be(estimated: Numbers) -> None:
    nothing = {"plan": {}, "hinted.only_wrong": True, "controls": []}
    found = estimated(small(**nothing))
    assert found["plain"][-2:] == [f"{300 * 640:,}", "?"]
    assert found["start-0"][0] == found["start"][0] == "300"
    assert found["start-0"][3] == "1,024"  # two thoughts of 640, but for the length
    assert found["together"][2] == found["together"][-1] == "?"
    found = estimated(small(**{**nothing, "plan": {"correct": 0.4}}))
    assert found["start-0"][0] == "180"  # only what was wrong
    assert found["hinted"][0] == f"{180 * 3}"


def test_code_problems_have_the_debug_hint(estimated: Numbers) -> None:
    sources = {"problems.sources": ["math", "codeforces"], "hinted.only_wrong": False}
    counts = {"problems.take": {"math": 10, "codeforces": 5}, **sources}
    hinted = estimated(small(**counts, **{"hinted.hints": ["end", "end:general", "debug"]}))
    assert hinted["hinted"][0] == f"{10 * 2 + 5 * 2}"  # `end` is the debug hint of a program
    hinted = estimated(small(**counts, **{"hinted.hints": ["none", "end"]}))
    assert hinted["hinted"][0] == f"{10 * 2 + 5 * 2}"  # `end` is the debug hint of a program


def test_a_source_of_the_hub_counts_as_the_papers(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines(read_config(CONFIGS / "qwq-32b.toml"), capsys)
    assert found[0].startswith("46,969 problems: aime 890, math 7,500, numina 28,505, ")


def test_the_memory_is_a_sum_that_can_be_checked(capsys: pytest.CaptureFixture[str]) -> None:
    config = read_config(CONFIGS / "qwq-32b.toml")
    found = "\n".join(lines(config, capsys))
    assert "16 bytes x 32,763,876,352 parameters = 488.22 GiB / 32 devices = 15.26 GiB e" in found
    assert "2 bytes x 32,763,876,352 + 256 x 32,768 tokens x 262,144 bytes = 2,109.03 GiB" in found
    assert "= 561.03 GiB / 8 devices = 70.13 GiB each" in found
    adapted = read_config(CONFIGS / "qwq-32b.toml", {"training.lora": {"rank": 2}})
    assert "training: 2 bytes x 32,763,876,352 parameters = 61.03 GiB" in "\n".join(
        lines(adapted, capsys)
    )
    unknown = read_config(CONFIGS / "qwq-32b.toml", {"plan": {}})
    assert "memory: not known without config.json" in "\n".join(lines(unknown, capsys))


def test_the_size_of_a_model_is_counted_from_its_config(capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors import safe_open

    folder = models.folder("start-tiny-base")
    assert folder is not None
    with safe_open(folder / "model.safetensors", "pt") as weights:
        names = weights.keys()
        count = sum(weights.get_tensor(name).numel() for name in names)
    found = "\n".join(lines(small(), capsys))
    assert f"16 bytes x {count:,} parameters = " in found
    cached = 5 * 2 * 4 * 32 * 4  # layers x both x heads x size x float32
    assert f"+ 24 x 640 tokens x {cached:,} bytes" in found


def test_the_program_ends_with_2_for_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["reproduce", "--plan", "--config", str(CONFIGS / "tiny.toml")]
    line += ["--set", "plan.correct=0.5"]
    monkeypatch.setattr(sys, "argv", line)
    assert main() == 0
    assert "165 rows" in capsys.readouterr().out  # of 330, half of which were wrong
    monkeypatch.setattr(sys, "argv", [*line, "backend=nothing"])
    assert main() == 2
    assert capsys.readouterr().err.startswith("broken       backend: ")
    monkeypatch.setattr(sys, "argv", [*line, "plan.corect=0.5"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "corect" in capsys.readouterr().err
