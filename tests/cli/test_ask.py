"""The command line: bad input is one clear line and exit code 2, and nothing computed is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from start_tools.search import Search
from typer.testing import CliRunner

import start_sdk as start_sdk_package
from start_sdk import AfterConnective, BeforeEnd, ConfigError, FirstOf, NoHints, Trace
from start_sdk.cli import app, load_policy
from start_sdk.hints import AtCalculation

COMMAND = [sys.executable, "-c", "from start_sdk.cli import main; main()"]


def start_sdk(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *args], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["ask", ""], "the question is empty"),
        (["ask", "   "], "the question is empty"),
        (["ask", "What is 2 times 3?", "--hints", "magic"], "no hint is named 'magic'; installed: connective, end, none, three-rounds, calculation, calculation-else-end, unsure-results, unsure-surprise, unsure, end-trust"),
        (["ask", "What is 2 times 3?", "--backend", "abacus"], "no backend is named 'abacus'; installed: llamacpp, openai, server, sglang, transformers, vllm"),
        (["ask", "What is 2 times 3?", "--hints", "end", "--rounds", "0"], "rounds=0"),
        (["ask", "What is 2 times 3?", "--hints", "none", "--rounds", "2"], "--rounds requires --hints end"),
        (["ask", "What is 2 times 3?", "--temperature", "-1"], "temperature=-1.0"),
        (["ask", "What is 2 times 3?", "--max-calls", "-1"], "max_calls=-1"),
        (["ask", "What is 2 times 3?", "--trace", "/no/such/folder/t.json"], "cannot write '/no/such/folder/t.json'"),
        (["ask", "What is 2 times 3?", "--trace", "/"], "cannot write '/'"),
        pytest.param(["ask", "What is 2 times 3?", "--model", "no/such-model"], "no model 'no/such-model'", marks=pytest.mark.torch),
        (["ask", "What is 2 times 3?", "--tool", "telephone"], "no tool is named 'telephone'; installed: search"),
        (["ask", "What is 2 times 3?", "--tool", "search=/no/such/folder"], "there is no folder or file '/no/such/folder'"),
        (["ask", "What is 2 times 3?", "--tool", "search"], "tool 'search' cannot be created: write search=VALUE"),
        (["ask", "Who wrote Faust?"], "Name a larger model with --model"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(args: list[str], says: str) -> None:
    done = CliRunner().invoke(app, args)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("start-sdk: ") and says in line


def test_an_unwritable_path_fails_before_any_work_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    args = ["ask", "Who wrote Faust?", "--trace", str(path)]
    assert CliRunner().invoke(app, args).exit_code == 2
    assert not path.exists()


def test_a_long_prompt_is_rejected(random_model: Path) -> None:
    done = CliRunner().invoke(app, ["ask", "word " * 2000, "--model", str(random_model)])
    assert done.exit_code == 2 and "shorten the prompt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_question_is_streamed_and_its_trace_written(random_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    args = ["--model", str(random_model), "--hints", "none", "--trace", str(path)]
    done = CliRunner().invoke(app, ["ask", "What is 12 * 7?", *args])
    assert done.exit_code == 0, done.stderr
    trace = Trace.model_validate_json(path.read_text(encoding="utf-8"))
    assert trace.finish in ("eos", "length") and trace.usage.model > 0
    assert "answer" in done.stdout and "cpu, float32" in done.stderr


def test_a_tool_is_described_to_the_model(random_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    (tmp_path / "notes.txt").write_text("Strelsau is the capital.", encoding="utf-8")
    args = ["ask", "Hi", "--model", str(random_model), "--tool", f"search={tmp_path}"]
    done = CliRunner().invoke(app, [*args, "--trace", str(path)])
    assert done.exit_code == 0, done.stderr
    trace = Trace.model_validate_json(path.read_text(encoding="utf-8"))
    assert "def search(query: str, limit: int = 5)" in trace.segments[0].text


def test_hints_of_tools_come_before_library_hints() -> None:
    with Search({"a": "b"}) as search:
        assert load_policy("end", 2, 0, search.hints) == BeforeEnd(rounds=2, hints=search.hints)
        policy = load_policy("connective", 1, 3, search.hints)
        assert policy == AfterConnective(seed=3, hints=search.hints)
        assert load_policy("none", 1, 0, search.hints) == NoHints()


def test_policies_that_read_the_thought_have_names() -> None:
    expected = FirstOf((AtCalculation(), BeforeEnd()))
    assert load_policy("calculation-else-end", 1, 0) == expected
    with pytest.raises(ConfigError, match="--rounds requires --hints end"):
        load_policy("unsure", 2, 0)


def test_json_is_the_only_output_on_stdout(random_model: Path) -> None:
    args = ["ask", "Hi", "--model", str(random_model), "--hints", "none", "--json"]
    args += ["--temperature", "1", "--seed", "3"]
    first, second = start_sdk(*args), CliRunner().invoke(app, args)
    trace = Trace.model_validate(json.loads(first.stdout))
    assert trace.seed == 3
    assert trace.token_ids == Trace.model_validate_json(second.stdout).token_ids


def test_ctrl_c_exits_with_130_and_keeps_the_trace(random_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    args = ["ask", "Hi", "--model", str(random_model), "--hints", "none", "--trace", str(path)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*COMMAND, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(1)  # the model is thinking
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        errors = process.stderr.read()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and errors.strip().endswith("stopped")
    trace = Trace.model_validate_json(path.read_text(encoding="utf-8"))
    assert trace.finish == "cancelled" and trace.usage.model > 0


@pytest.mark.slow
def test_a_hub_id_is_loaded_from_the_hubs_cache(random_model: Path, tmp_path: Path) -> None:
    # The layout in which the hub library stores its downloads: the same code path as online.
    cached = tmp_path / "models--acme--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0123abc")
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / "0123abc").symlink_to(random_model)
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    args = ["ask", "Hi", "--model", "acme/tiny", "--hints", "none", "--json"]
    done = subprocess.run([*COMMAND, *args], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    assert Trace.model_validate_json(done.stdout).model == "acme/tiny"


@pytest.mark.slow
@pytest.mark.torch
def test_a_kernel_that_cannot_start_is_one_clear_line_and_the_trace_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)  # too long for the address of a socket
    folder.mkdir()
    path = tmp_path / "trace.json"
    args = ["ask", "Find the product of 34 and 56.", "--trace", str(path)]
    env = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([*COMMAND, *args], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("start-sdk: path too long for a socket")
    trace = Trace.model_validate_json(path.read_text(encoding="utf-8"))
    assert trace.finish == "error" and trace.usage.model > 0


def test_the_version_is_printed() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"{start_sdk_package.__version__}\n")


def test_doctor_reports_versions_extras_isolation_devices_and_plugins() -> None:
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0, done.stderr
    for word in (
        "start-sdk",
        "ipykernel",
        "isolation",
        "protected",
        "cpu",
        "transformers",
        "hints",
    ):
        assert word in done.stdout
