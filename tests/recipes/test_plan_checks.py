"""What is broken before a run begins is named, all of it; no weights, no network."""

import json
import shutil
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("datasets")
pytest.importorskip("trl")

from families import FAMILIES, family

from recipes import data, rft
from recipes.config import Config, read_config
from recipes.plan import checking, hub, plan, sources
from recipes.plan.hub import NotHere, within
from start_sdk import ConfigError, models

CONFIGS = Path(rft.__file__).parent / "configs"
EMBEDDED = models.folder("start-tiny-base") or Path()
MATH = {"problem": "What is 2 + 2?", "solution": "It is \\boxed{4}.", "answer": "4"}
Printed = tuple[int, list[str], list[str]]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The embedded model's folder without its weights."""
    return shutil.copytree(
        EMBEDDED, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors")
    )


def small(base: str | Path, **changes: Any) -> Config:
    return read_config(CONFIGS / "tiny.toml", {"base": str(base), "controls": [], **changes})


def planned(config: Config, capsys: pytest.CaptureFixture[str]) -> Printed:
    """The exit status, and the lines of both streams."""
    status = plan(config, rft.stages(config))
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def states(lines: Sequence[str]) -> dict[str, str]:
    """The state of each check."""
    found = {}
    for state in ("ok", "broken", "not checked"):
        for line in lines:
            if line.startswith(f"{state:13}"):
                found[line[13:].partition(": ")[0]] = state
    return found


def test_a_folder_without_weights_is_enough(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems, suite = write(tmp_path / "math.jsonl", MATH), write(tmp_path / "suite.jsonl", MATH)
    sources = {"problems.sources": ["tiny", f"math={problems}"], "evaluation.suites": [str(suite)]}
    status, out, err = planned(small(folder, **sources), capsys)
    assert (status, err) == (0, [])
    assert set(states(out).values()) == {"ok"} and len(states(out)) == 11
    assert out[0] == "301 problems: tiny 300, math 1"


def test_a_model_of_the_hub_is_planned_without_the_hub(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "offline", lambda: True)
    for name in ("qwq-32b", "r1-distill-32b"):
        config = read_config(CONFIGS / f"{name}.toml")
        status, out, err = planned(config, capsys)
        assert (status, err) == (0, [])
        rows = {line.split()[0]: line.split() for line in out[1:18] if line}
        assert rows["sampled"][1:6] == ["46,969", "x", "16", "x", "8,000"]
        assert rows["d-seed"][1:] == ["12,000", "rows"]
        assert rows["start"][-3:-1] == ["1,268,163,000", "1,101"]
        found = states(out)
        assert found["hints"] == "ok" and found["base model"] == "not checked"
        assert found["problems aime"] == found["suite gpqa"] == "not checked"
        assert "broken" not in found.values()


def test_a_model_in_the_hubs_cache_is_used(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from huggingface_hub import constants

    commit, model = "0" * 40, tmp_path / "cache" / "models--some--model"
    shutil.copytree(folder, model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    status, out, _ = planned(small("some/model"), capsys)
    assert status == 0 and states(out)["joins"] == "ok"
    (model / "snapshots" / commit / "config.json").unlink()
    status, out, _ = planned(small("some/model"), capsys)
    assert status == 0 and states(out)["base model"] == "not checked"


TEMPLATES = {
    "rejects these messages": "{{ messages[0].content }",
    "has no chat template": None,
    "drops the question": "<|im_start|>assistant\n<think>\n",
    "closes the thought": "{{ messages[0].content }}<|im_end|>\n<think>\n\n</think>\n",
    "add_generation_prompt": "<|im_start|>user\n{{ messages[0].content }}<|im_end|>\n",
}


@pytest.mark.parametrize("says", TEMPLATES)
def test_a_broken_chat_template_is_found(
    says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, template = folder / "chat_template.jinja", TEMPLATES[says]
    file.unlink()
    if template is not None:
        file.write_text(template, encoding="utf-8")
    status, out, err = planned(small(folder), capsys)
    assert status == 2 and len(err) == 1
    assert err[0].startswith("broken: chat template: ") and says in err[0]
    assert states(out)["tokenizer"] == states(out)["backend"] == "ok"


def test_a_broken_tokenizer_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "tokenizer.json"
    spec = json.loads(file.read_text(encoding="utf-8"))
    fences = {"type": "Replace", "pattern": {"String": "`"}, "content": "'"}
    for says, normalizer in {
        "joins: an output: encoding and decoding do not restore the text": fences,
        "tokenizer: the tokenizer changes text": {"type": "Lowercase"},
    }.items():
        file.write_text(json.dumps({**spec, "normalizer": normalizer}), encoding="utf-8")
        status, out, err = planned(small(folder), capsys)
        assert status == 2 and len(err) == 1 and err[0].startswith(f"broken: {says}")
    file.write_text("{", encoding="utf-8")
    status, out, err = planned(small(folder), capsys)
    assert status == 2 and len(err) == 1 and err[0].startswith("broken: tokenizer: the model in")
    assert states(out)["joins"] == "not checked" and states(out)["base model"] == "ok"


def test_a_model_that_could_never_end_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    del settings["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "generation_config.json").unlink()
    status, _, err = planned(small(folder), capsys)
    assert status == 2 and "there is no end-of-sequence token" in err[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_templates_and_joins_of_real_families_hold(name: str) -> None:
    config, tokenizer = small("start-tiny-base", prompt="boxed"), family(name)
    says = {"qwen3": "the model opens", "r1-distill": "the template opens"}.get(name, "no tags")
    assert says in checking.check_template(config, tokenizer)
    assert "decode to what they are" in checking.check_joins(config, tokenizer)


def test_everything_that_is_broken_is_named_and_stops_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = write(tmp_path / "math.jsonl", {"problem": "?", "answer": "1"})
    year = {"ID": "1", "Year": "soon", "Question": "?", "Answer": "1"}
    values = write(tmp_path / "aime.jsonl", year)
    suite = write(tmp_path / "suite.jsonl", {"problem": "?"})
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    (tmp_path / "text.jsonl").write_text("no JSON\n", encoding="utf-8")
    (tmp_path / "table.parquet").write_text("no Parquet", encoding="utf-8")
    (tmp_path / "launch.yaml").write_text("num_process: 2\n", encoding="utf-8")
    sources = [
        f"math={columns}", f"aime={values}", f"numina={tmp_path / 'none.jsonl'}", "maths",
        f"codeforces={tmp_path / 'empty.jsonl'}", f"code_contests={tmp_path / 'text.jsonl'}",
        f"livecodebench={tmp_path / 'table.parquet'}",
    ]  # fmt: skip
    config = small(
        folder,
        **{
            "problems.sources": sources,
            "evaluation.suites": [str(suite), "aime26"],
            "hinted.hints": ["end:nothing"],
            "backend": "nothing",
            "training.max_length": 4096,
            "training.accelerate": str(tmp_path / "launch.yaml"),
        },
    )
    status, out, err = planned(config, capsys)
    assert status == 2 and not any("Traceback" in line for line in (*out, *err))
    wanted = [
        "joins: no hint 'nothing'",
        "lengths: training.max_length=4096 is more than the 2048",
        "hints: no hint 'nothing'",
        f"problems {sources[0]}: {columns}: no column solution; it has problem, answer",
        f"problems {sources[1]}: {values}: its first row cannot be read: ValueError",
        f"problems {sources[2]}: '{tmp_path / 'none.jsonl'}': no such file",
        "problems maths: 'maths' is not a source of problems",
        f"problems {sources[4]}: {tmp_path / 'empty.jsonl'} contains no rows",
        f"problems {sources[5]}: {tmp_path / 'text.jsonl'}: its first line is not JSON",
        f"problems {sources[6]}: {tmp_path / 'table.parquet'} is not a Parquet file",
        f"suite {suite}: {suite}, row 1: needs a question",
        "suite aime26: 'aime26': no such file",
        "backend: no backend is named 'nothing'",
        "training: training.accelerate=",
    ]
    assert len(err) == len(wanted)
    for line, start in zip(err, wanted, strict=True):
        assert line.startswith(f"broken: {start}"), line
    assert states(out)["base model"] == states(out)["chat template"] == "ok"


def test_a_base_model_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    says = "is not an embedded model .*, an existing folder, or a hub id"
    status, out, err = planned(small("/nowhere/model"), capsys)
    assert status == 2 and len(err) == 1
    with pytest.raises(ConfigError, match=says):
        raise ConfigError(err[0])
    assert states(out)["tokenizer"] == states(out)["lengths"] == "not checked"


def test_a_folder_without_a_config_or_with_a_broken_one_is_no_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.json").write_text('{"model_type": "nothing"}', encoding="utf-8")
    status, _, err = planned(small(folder), capsys)
    assert status == 2 and "config.json does not describe a loadable model" in err[0]
    (folder / "config.json").unlink()
    status, _, err = planned(small(folder), capsys)
    assert status == 2 and "config.json is missing" in err[0] and len(err) == 1


def test_processes_and_what_they_need_are_those_of_accelerate(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zero3 = {"training.accelerate": str(CONFIGS / "accelerate" / "zero3.yaml")}
    status, out, err = planned(small(folder, **zero3), capsys)
    assert status == 2 and "training.batch=16 is not a multiple of 64 (per_device=2" in err[0]
    assert any(", split over 32 devices" in line for line in out)
    fitting = {"training.batch": 64, "training.attention": "flash_attention_2", **zero3}
    status, out, _ = planned(small(folder, **fitting), capsys)
    needed = [line for line in out if line.startswith("not checked  training: ")]
    assert status == 0 and "needs deepspeed" in needed[0] and "needs flash_attn" in needed[0]
    cpu = {"training.accelerate": str(CONFIGS / "accelerate" / "cpu.yaml")}
    status, out, _ = planned(small(folder, **cpu), capsys)
    assert status == 0 and any("the same on each of 2 devices: 17.3 MiB" in line for line in out)


def test_problems_of_the_hub_are_looked_at_where_it_can_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "train.jsonl", MATH)
    config = small("start-tiny-base")
    local = replace(data.SOURCES["numina"], path=str(tmp_path))
    monkeypatch.setitem(data.SOURCES, "numina", local)
    monkeypatch.setattr(hub, "online", lambda: True)
    assert "problem, solution" in sources.check_source("numina", config)
    monkeypatch.setitem(data.SOURCES, "numina", replace(local, columns=("problem", "proof")))
    with pytest.raises(ConfigError, match="no column proof; it has problem, solution, answer"):
        sources.check_source("numina", config)
    gone = replace(local, path=str(tmp_path / "gone"))
    monkeypatch.setitem(data.SOURCES, "numina", gone)
    with pytest.raises(ConfigError, match="the hub does not give"):
        sources.check_source("numina", config)
    monkeypatch.setattr(hub, "online", lambda: False)
    with pytest.raises(NotHere):
        sources.check_source("numina", config)


def test_a_hub_that_does_not_answer_is_not_waited_for() -> None:
    answered = threading.Event()
    with pytest.raises(NotHere, match="the hub did not answer within"):
        within(0.05, answered.wait)
    answered.set()
    with pytest.raises(ValueError, match="as it was"):
        within(5, lambda: int("as it was"))
    assert within(5, lambda: 3) == 3
