"""The whole chain on the embedded model, in small; killed again and again, it comes to the same."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("trl")
pytest.importorskip("datasets")
pytest.importorskip("math_verify")
pytest.importorskip("matplotlib")

from recipes import train_sft
from recipes.config import read_config
from recipes.reproduce import __main__ as reproduce
from start_sdk import ConfigError, verify_trace
from start_sdk.backends.tokenizer import load_tokenizer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CONFIG = """
base = "start-tiny-base"
prompt = "plain"
max_concurrency = 4
controls = ["text"]
backend_options = { deterministic = true, max_batch = 4 }
limits = { max_tokens = 400, max_repeats = 4, answer_reserve = 64 }
problems = { take = { tiny = 4 } }
evaluation = { suites = ["tiny"], n = 2, seeds = [5], rounds = 1, rounds_n = 1 }
hinted = { hints = ["end:general"] }
sampled = { samples = 2, temperature = 0.6 }
text = { hints = ["no-tool"], samples = 2, temperature = 0.6 }
seed_data = { overlap_share = 1.0 }
start_data = { rescued = false, needs_call = false, easy_from = 0.75, overlap_share = 1.0 }

[training]
learning_rate = 1e-3
epochs = 6
batch = 2
per_device = 2
threads = 1
max_length = 512
bf16 = false
gradient_checkpointing = false
save_steps = 2
report_to = []
"""
# One family to train on and one that is kept from training: a world that is small enough.
PROGRAM = """
import sys
from recipes.tiny.families import GROUPS, factors, sequences
GROUPS["math"] = (sequences.FAMILY, factors.FAMILY)
from recipes.reproduce.__main__ import main
sys.exit(main())
"""


def started(config: Path, folder: Path) -> "subprocess.Popen[str]":
    """The run in `folder`/run, named from there: traces say which model thought."""
    line = ["--config", str(config), "--out", "run"]
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, *line],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip


def killed_at(config: Path, folder: Path, stages: Sequence[str], lot: random.Random) -> None:
    """Starts the run, and kills it a little into each of these stages, wherever that is."""
    for stage in stages:
        process = started(config, folder)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"{stage}:") and "already done" not in line:
                break
        else:
            pytest.fail(f"{stage} never began")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=lot.uniform(0.2, 2))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "run.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    process = started(config, folder)
    output, _ = process.communicate()
    assert process.returncode == 0, output[-3000:]
    assert "| START - base |" in output and "In all " in output
    return folder / "run"


def test_a_run_that_is_killed_comes_to_the_same_rows_weights_and_table(
    config: Path, whole: Path, tmp_path: Path
) -> None:
    lot = random.Random(7)
    killed_at(config, tmp_path, ["plain", "start-0", "sampled"], lot)
    process = started(config, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 0, output[-3000:]
    assert "plain: the base model without hints: already done" in output
    for name in (
        "d-seed/data.jsonl", "d-start/data.jsonl", "d-text/data.jsonl",
        "start-0/model/model.safetensors", "start/model/model.safetensors",
        "text-rft/model/model.safetensors", "report/report.md", "report/report.png",
    ):  # fmt: skip
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes(), name


def test_all_training_data_is_token_exact_and_its_labels_are_its_mask(whole: Path) -> None:
    tokenizer = load_tokenizer("start-tiny-base")
    for name in ("d-seed", "d-start", "d-text"):
        found = list(train_sft.traces(whole / name / "data.jsonl"))
        assert found
        for trace in found:
            verify_trace(trace, tokenizer)
            row = train_sft.encode(trace, ("model", "hint"))
            mask = trace.loss_mask(("model", "hint"))
            assert [label != train_sft.IGNORED for label in row["labels"]] == mask


def test_the_report_holds_every_system_and_the_family_that_was_not_trained_on(whole: Path) -> None:
    text = (whole / "report" / "report.md").read_text(encoding="utf-8")
    assert (
        "| base without a tool | base | text RFT | Hint-infer, end:general | START-0 | START |"
        in text
    )
    assert "| factors (kept from training) | 2 |" in text
    assert "## Rounds of hints" in text and "START-0, unselected" not in text


def test_seeds_are_pooled_and_other_runs_are_not(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce.pool([whole, whole], tmp_path)
    assert "seed 0, 0." in capsys.readouterr().out
    other = read_config(whole / "config.json", {"training.epochs": 1})
    (tmp_path / "config.json").write_text(other.model_dump_json(), encoding="utf-8")
    with pytest.raises(ConfigError, match="differ in more than their seeds"):
        reproduce.pool([whole, tmp_path], tmp_path / "out")
    with pytest.raises(ConfigError, match="cannot read"):
        reproduce.pool([tmp_path / "nothing"], tmp_path / "out")
