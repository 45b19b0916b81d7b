"""What is broken before a run begins is named, all of it; no weights, no network."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("scipy")
pytest.importorskip("datasets")
pytest.importorskip("trl")

from families import FAMILIES, family

from recipes import plan as planning
from recipes.config import Config, read_config
from recipes.plan import plan
from start_sdk import models

CONFIGS = Path(__file__).parents[2] / "recipes" / "configs"
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
    status = plan(config, ["plain", "d-seed", "start-0"])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def states(lines: Sequence[str]) -> dict[str, str]:
    """The state of each check that is not broken."""
    found = {}
    for state in ("ok", "not checked"):
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
    assert set(states(out).values()) == {"ok"} and len(states(out)) == 8
    assert out[0] == f"331 problems: tiny 330, math={problems} 1"


def test_a_model_of_the_hub_is_planned_without_the_hub(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("qwq-32b", "r1-distill-32b"):
        status, out, err = planned(read_config(CONFIGS / f"{name}.toml"), capsys)
        assert (status, err) == (0, [])
        found = states(out)
        assert found["hints"] == "ok" and found["base model"] == "not checked"
        assert found["problems aime"] == found["suite gpqa"] == "not checked"


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
    assert status == 0 and states(out)["tokenizer"] == "ok"


TEMPLATES = {
    "rejects these messages": "{{ messages[0].content }",
    "has no chat template": None,
    "drops the question": "<|im_start|>assistant\n<think>\n",
    "the prompt closes it": "{{ messages[0].content }}<|im_end|>\n<think>\n\n</think>\n",
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
    assert err[0].startswith("broken       tokenizer: ") and says in err[0]
    assert states(out)["base model"] == states(out)["backend"] == "ok"


def test_a_broken_tokenizer_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "tokenizer.json"
    spec = json.loads(file.read_text(encoding="utf-8"))
    quotes = {"type": "Replace", "pattern": {"String": "`"}, "content": "'"}
    for says, normalizer in {
        "tokenizer: encoding and decoding do not restore": quotes,
        "tokenizer: the question: the chat template changes its text": {"type": "Lowercase"},
    }.items():
        file.write_text(json.dumps({**spec, "normalizer": normalizer}), encoding="utf-8")
        status, out, err = planned(small(folder), capsys)
        assert status == 2 and len(err) == 1 and says in err[0]
        assert states(out)["base model"] == "ok"
    file.write_text("{", encoding="utf-8")
    status, out, err = planned(small(folder), capsys)
    assert status == 2 and len(err) == 1 and "tokenizer.json" in err[0]


def test_a_model_that_could_never_end_is_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    del settings["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "generation_config.json").unlink()
    status, _, err = planned(small(folder), capsys)
    assert status == 2 and "no end-of-sequence token is known" in err[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_templates_of_real_families_hold(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(planning, "load_tokenizer", lambda _: family(name))
    status, out, err = planned(small("start-tiny-base"), capsys)
    assert (status, err) == (0, [])
    assert states(out)["tokenizer"] == "ok"


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
        "base model: training.max_length=4096 is more than its context of 2048",
        "hints: no hint 'nothing'",
        f"problems {sources[0]}: {columns}, row 1: no solution; it has problem, answer",
        f"problems {sources[1]}: {values}, row 1: invalid literal for int() with base 10: 'soon'",
        f"problems {sources[2]}: cannot read '{tmp_path / 'none.jsonl'}': No such file",
        "problems maths: 'maths' is not a source of problems",
        f"problems {sources[4]}: {sources[4]} contains no problem",
        f"problems {sources[5]}: '{tmp_path / 'text.jsonl'}', line 1: not JSON",
        f"problems {sources[6]}: '{tmp_path / 'table.parquet'}' is not a Parquet file",
        f"suite {suite}: {suite}, row 1: no answer or Correct Answer",
        "suite aime26: 'aime26' is neither a suite",
        "backend: no backend is named 'nothing'",
        "training: ValueError: ",
    ]
    assert len(err) == len(wanted)
    for line, start in zip(err, wanted, strict=True):
        assert line.startswith(f"broken       {start}"), line


def test_a_base_model_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = planned(small("/nowhere/model"), capsys)
    assert status == 2 and len(err) == 1 and "no model '/nowhere/model'" in err[0]


def test_a_folder_without_a_config_or_with_a_broken_one_is_no_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "config.json").write_text('{"model_type": "nothing"}', encoding="utf-8")
    status, _, err = planned(small(folder), capsys)
    assert status == 2 and len(err) == 1 and "broken       base model: " in err[0]
    (folder / "config.json").unlink()
    status, _, err = planned(small(folder), capsys)
    assert status == 2 and len(err) == 1 and "config.json" in err[0]


def test_processes_and_what_they_need_are_those_of_accelerate(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zero3 = {"training.accelerate": str(CONFIGS / "accelerate" / "zero3.yaml")}
    status, _, err = planned(small(folder, **zero3), capsys)
    assert status == 2 and "training.batch=16 is not a multiple of per_device=2 x 32" in err[0]
    status, out, _ = planned(small(folder, **{"training.batch": 64, **zero3}), capsys)
    assert status == 0 and any("0.02 GiB / 32 devices" in line for line in out)
    fitting = {"training.batch": 64, "training.attention": "flash_attention_2", **zero3}
    status, out, _ = planned(small(folder, **fitting), capsys)
    assert status == 0 and any(line.endswith(": not installed here: flash_attn") for line in out)


def test_a_suite_is_not_taken_for_a_source_of_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = planned(small("start-tiny-base", **{"evaluation.suites": ["math"]}), capsys)
    assert status == 2 and err[0].startswith("broken       suite math: 'math' is neither a suite")


def test_the_hub_is_asked_for_access_where_it_can_be_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import HfApi

    def access(_: HfApi, path: str, repo_type: str) -> None:
        if path.startswith("Idavidrein/"):
            raise PermissionError(f"401: {path} is gated\nlog in")
        if path.startswith("AI-MO/"):
            raise TimeoutError("no answer within 3 s")

    monkeypatch.setattr(planning, "online", lambda: True)
    monkeypatch.setattr(HfApi, "auth_check", access)
    names = {"problems.sources": ["math", "numina"], "evaluation.suites": ["gpqa"]}
    status, out, err = planned(small("start-tiny-base", **names), capsys)
    assert states(out)["problems math"] == "ok"
    assert states(out)["problems numina"] == "not checked"
    assert status == 2 and len(err) == 1
    assert err[0] == "broken       suite gpqa: PermissionError: 401: Idavidrein/gpqa is gated"
