"""Opening the OpenAI backend: every failure is one clear line that says what to do."""

from __future__ import annotations

from typing import Any

import pytest
from openai_server import FakeServer
from scripted_server import Reply, ScriptedServer, body

from start_sdk import ModelError, open_backend
from start_sdk.backends.openai import OpenAIBackend
from start_sdk.backends.tokenizer import load_tokenizer


def test_a_failed_start_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def error_of(model: str, **options: Any) -> str:
        with pytest.raises(ModelError) as error:
            open_backend(model, "openai", **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "set OPENAI_BASE_URL" in error_of("tiny")
    assert "is not a valid address" in error_of("tiny", base_url="localhost:8000")
    with pytest.raises(ModelError, match="must be one of tokens, text, chat"):
        OpenAIBackend("tiny", mode="smoke")  # type: ignore[arg-type]
    assert (
        "pass api_key=" in (line := error_of("http://me:secret@there/v1")) and "secret" not in line
    )
    with FakeServer(served=["a", "b"]) as server:
        assert "serves 2 models (a, b): name one" in error_of(server.url)
        assert "does not serve 'c': it serves a, b" in error_of("c", base_url=server.url)
        assert "does the address end in /v1?" in error_of(server.url.replace("/v1", "/elsewhere"))
    assert "cannot be reached" in error_of(server.url)
    with FakeServer(root="/no/such/folder") as server:
        assert "pass tokenizer=" in error_of(server.url, mode="tokens")
    with FakeServer(returns_ids=False) as server:
        assert "try mode='text'" in error_of(server.url, mode="tokens")
    with FakeServer(wants_key=True) as server:
        assert "set OPENAI_API_KEY" in error_of(server.url)


def test_a_wrong_tokenizer_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from families import raw

    raw("qwen3").save_pretrained(tmp_path)
    with FakeServer() as server, pytest.raises(ModelError, match="a different tokenizer"):
        OpenAIBackend(server.url, tokenizer=str(tmp_path))


def counting(tokenizer: Any, path: str) -> Any:
    """A server that only exchanges text, and says somewhere how it encodes it."""

    def answers(method: str, asked: str, sent: Any) -> Reply | None:
        if asked == "/tokenize" == path:
            return body({"tokens": tokenizer.encode(sent["prompt"])})
        if asked != "/v1/completions":
            return None
        count = 1 + len(tokenizer.encode(sent["prompt"]))  # with a token that begins a text
        usage = {"usage": {"prompt_tokens": count}} if asked == path else {}
        return body({"choices": [{"text": "x"}], **usage})

    return answers


@pytest.mark.parametrize("path", ["/tokenize", "/v1/completions", "nowhere"])
def test_in_mode_text_too_a_tokenizer_is_compared_where_the_server_says_how_it_encodes(
    path: str, tmp_path: Any
) -> None:
    from families import raw

    raw("gemma").save_pretrained(tmp_path)
    with ScriptedServer(answers=counting(load_tokenizer("start-tiny-base"), path)) as server:
        OpenAIBackend(server.url, mode="text", tokenizer="start-tiny-base")
        if path == "nowhere":
            OpenAIBackend(server.url, mode="text", tokenizer=str(tmp_path))
        else:
            with pytest.raises(ModelError, match=r"'m' at http\S+ uses a different tokenizer") as e:
                OpenAIBackend(server.url, mode="text", tokenizer=str(tmp_path))
            assert "\n" not in str(e.value)
