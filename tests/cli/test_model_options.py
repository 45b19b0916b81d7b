"""Options that say what runs a model: the same for `ask`, `solve` and `check-backend`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from start_sdk import ConfigError
from start_sdk.cli import _models, app, parsed_options
from start_sdk.cli._models import Choice
from start_sdk.testing import ScriptedBackend

URL = "http://127.0.0.1:1/v1"
QUESTION = "What is 2 times 3?"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was passed to `open_backend`, in turn."""
    calls: list[Any] = []

    def open_backend(model: str, backend: str, **options: Any) -> ScriptedBackend:
        calls.append((model, backend, options))
        return ScriptedBackend(lambda _: ["Easy.\n</think>\n\n6"])

    monkeypatch.setattr(_models, "open_backend", open_backend)
    return calls


def invoke(*args: str) -> Result:
    return CliRunner().invoke(app, args)


def test_an_address_needs_no_other_option(opened: list[Any]) -> None:
    for options in (["--model", URL], ["--model", "m", "--base-url", URL], ["--model", "m"]):
        assert invoke("ask", QUESTION, *options).exit_code == 0
    assert opened == [
        (URL, "server", {}),
        ("m", "server", {"base_url": URL}),
        ("m", "transformers", {}),
    ]


def test_the_model_of_a_server_needs_no_name(
    opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The question is not one for the embedded model, which nobody named.
    assert invoke("ask", "Is the moon made of cheese?", "--base-url", URL).exit_code == 0
    assert opened == [(URL, "server", {"base_url": URL})]
    assert invoke("ask", QUESTION).exit_code == 0
    monkeypatch.setenv("OPENAI_BASE_URL", URL)
    assert invoke("ask", QUESTION, "--backend", "server").exit_code == 0
    assert invoke("ask", QUESTION).exit_code == 0
    local: Any = ("start-tiny", "transformers", {})
    assert opened[1:] == [local, (URL, "server", {}), local]


@pytest.mark.torch
def test_a_server_of_the_environment_is_asked_only_by_its_backends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "OPENAI_BASE_URL" not in invoke("ask", QUESTION, "--model", "no/such").stderr
    monkeypatch.setenv("OPENAI_BASE_URL", URL)
    assert "choose the backend 'server'" in invoke("ask", QUESTION, "--model", "no/such").stderr


@pytest.mark.parametrize("command", ["ask", "solve", "check-backend"])
def test_every_command_passes_on_what_is_given_and_nothing_else(
    command: str, opened: list[Any], tmp_path: Path
) -> None:
    file = tmp_path / "problems.jsonl"
    file.write_text(json.dumps({"problem": QUESTION}), encoding="utf-8")
    first = {
        "ask": ["ask", QUESTION, "--model", "m"],
        "solve": ["solve", str(file), "--out", str(tmp_path / "out"), "--model", "m"],
        "check-backend": ["check-backend", "m"],
    }[command]
    options = ["--base-url", URL, "--mode", "text", "--tokenizer", "t", "--api-key-env", "KEY"]
    options += ["--backend-option", "timeout=5", "--backend-option", 'extra_body={"a": [1]}']
    options += ["--backend-option", "revision=main", "--backend-option", "a-b=null"]
    invoke(*first, *options, "--backend", "openai")
    server = {"base_url": URL, "mode": "text", "tokenizer": "t", "api_key_env": "KEY"}
    more = {"timeout": 5, "extra_body": {"a": [1]}, "revision": "main", "a_b": None}
    assert opened == [("m", "openai", {**server, **more})]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mode", "chat"], "--mode is for a model on a server, and 'start-tiny' would run here"),
        (["--tokenizer", "t"], "--tokenizer is for a model on a server"),
        (["--api-key-env", "K", "--backend", "vllm"], "would run here, on vllm"),
        (["--base-url", "localhost:1"], "--base-url 'localhost:1' is not an address: it begins with"),
        (["--backend-option", "threads"], "--backend-option 'threads': expected NAME=VALUE"),
        (["--backend-option", "=1"], "expected NAME=VALUE"),
        (["--backend-option", "a=1", "--backend-option", "a=2"], "a is given twice"),
        (["--base-url", URL, "--backend-option", "base_url=x"], "--base-url says it, too"),
        pytest.param(["--model", "127.0.0.1:8080/v1"], "Did you mean 'http://127.0.0.1:8080/v1'?", marks=pytest.mark.torch),
        pytest.param(["--model", URL, "--backend", "transformers"], "is a server's address", marks=pytest.mark.torch),
        (["--backend", "transformer"], "sglang, transformers, vllm; did you mean 'transformers'?"),
        pytest.param(["--backend-option", "thread=2"], "did you mean 'threads'?", marks=pytest.mark.torch),
        pytest.param(["--backend-option", "threads=two"], "threads='two': input should be", marks=pytest.mark.torch),
        pytest.param(["--backend-option", "dtype=float31"], "dtype='float31' is not a torch dtype", marks=pytest.mark.torch),
    ],
)  # fmt: skip
def test_an_option_that_does_not_fit_is_one_line(options: list[str], says: str) -> None:
    done = invoke("ask", QUESTION, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("start-sdk: ") and says in line


def test_values_that_are_json_are_read_as_json() -> None:
    texts = ["a=1", "b=true", "c=x=y", 'd="1"', "e=", "f={'a'}", "g=NaN"]
    options = parsed_options(texts)
    assert options.pop("g") != options
    assert options == {"a": 1, "b": True, "c": "x=y", "d": "1", "e": "", "f": "{'a'}"}


def test_where_a_server_is_does_not_count_for_a_row() -> None:
    assert Choice("m").counted() == {}
    assert Choice("m", base_url=URL, api_key_env="K").counted() == {}
    counted = Choice("m", base_url=URL, mode="text", backend_option=["top=1"]).counted()
    assert counted == {"options": {"mode": "text", "top": 1}}
    with pytest.raises(ConfigError, match="expected NAME=VALUE"):
        Choice("m", backend_option=["x"]).counted()


def test_what_is_waited_for_is_shown_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with _models.waiting("loading m"):
        pass
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes it for a terminal
    monkeypatch.setenv("TERM", "xterm")
    with _models.waiting("loading m\x1b]0;x\x07"):
        pass
    shown = capsys.readouterr()
    assert shown.out == "" and "loading m\\x1b]0;x\\x07" in shown.err
