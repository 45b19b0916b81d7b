"""Which backend opens an address, and what it finds out by asking."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from llamacpp_server import FakeLlama
from openai_server import KEY, FakeServer
from scripted_server import Reply, ScriptedServer, body

from start_sdk import Backend, ConfigError, ModelError, open_backend, plugins
from start_sdk.backends._failures import once_loaded
from start_sdk.backends._servers import open_server


@contextmanager
def opened(model: str, **options: Any) -> Iterator[Backend]:
    backend = open_backend(model, **options)
    try:
        yield backend
    finally:
        asyncio.run(backend.aclose())


@pytest.fixture(autouse=True)
def no_server_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


class Opened:
    """Stands for a backend of another package."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, model: str, *, base_url: str = "", **options: Any) -> tuple[Any, ...]:
        return self.name, model, base_url, options


@pytest.mark.parametrize(
    ("path", "answer", "mode", "name"),
    [
        ("/props", {"default_generation_settings": {}}, None, "llamacpp"),
        ("/props", {"default_generation_settings": {}}, "tokens", "llamacpp"),
        ("/props", {"default_generation_settings": {}}, "text", "openai"),
        ("/props", {"something": "else"}, None, "openai"),
        ("/get_model_info", {"model_path": "x"}, None, "sglang"),
        ("/get_model_info", {"model_path": "x"}, "chat", "openai"),
        ("/x", {}, None, "openai"),
    ],
)
@pytest.mark.parametrize("form", ["{}", "{}/", "{}/v1", "{}/v1/"])
def test_an_address_opens_the_backend_that_suits_the_server(
    path: str, answer: Any, mode: Any, name: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "load", lambda group, name: Opened(name))
    with ScriptedServer(answers=lambda m, p, b: body(answer) if p == path else None) as server:
        url = form.format(server.root)
        got: Any = open_server(url, mode=mode, api_key=KEY, extra=1)
    expected = {"api_key": KEY, "extra": 1}
    if name == "openai" and mode:
        expected["mode"] = mode
    assert got == (name, url, url, expected)
    assert len(server.questions) <= 2 and all(h["authorization"] for h in server.headers)


def test_a_name_is_looked_up_on_the_server_of_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(served=["tiny", "other"]) as server:
        with opened("other", backend="server", base_url=server.url) as backend:
            assert backend.capabilities.model == "other" and backend.capabilities.exact
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with opened("tiny", backend="server") as backend:
            assert backend.capabilities.model == "tiny"


@pytest.mark.parametrize("prefix", ["", "/v1", "/api/v1", "/v4"])
def test_an_address_may_have_a_path_of_its_own(prefix: str) -> None:
    def answers(method: str, path: str, sent: Any) -> Reply | None:
        known = prefix or "/v1"
        if path == f"{known}/models":
            return body([{"id": "m", "context_length": 99}])  # a bare list, as some send it
        if path == f"{known}/chat/completions":
            return body({"choices": [{"message": {"content": "one,"}}]})
        return body({"error": {"message": "Not Found"}}, 404)

    with (
        ScriptedServer(answers=answers) as server,
        opened(server.root + prefix) as backend,
    ):
        assert backend.capabilities.model == "m" and "chat over HTTP" in backend.capabilities.note
        assert not backend.capabilities.can_continue and backend.max_context == 3 * 99


def test_the_key_comes_from_the_variable_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with FakeServer(wants_key=True) as server:
        with opened(server.url, api_key_env="MY_KEY") as backend:
            assert backend.capabilities.exact
        with pytest.raises(ModelError, match="the environment variable NO_KEY holds no key"):
            open_backend(server.url, api_key_env="NO_KEY")
        with pytest.raises(ModelError, match="set OPENAI_API_KEY"):
            open_backend(server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with opened(server.url, backend="openai"):
            pass


def test_a_tokenizer_is_refused_where_the_server_has_it() -> None:
    with FakeLlama() as server, pytest.raises(ConfigError, match="has the model's own"):
        open_backend(server.url, tokenizer="start-tiny-base")


@pytest.mark.parametrize("backend", ["openai", "llamacpp", "sglang"])
@pytest.mark.parametrize("limit", ["timeout", "retry_seconds", "max_context"])
def test_limits_that_no_request_can_keep_are_refused(backend: str, limit: str) -> None:
    with pytest.raises(ModelError, match=f"{limit}.* must "):
        plugins.load("backends", backend)("http://127.0.0.1:9", **{limit: -1})


def test_what_is_no_name_no_mode_or_no_address_is_one_line() -> None:
    with pytest.raises(ConfigError, match="model must be a str, not None"):
        open_backend(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="pass a list of addresses"):
        open_backend("", servers="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match="mode='smoke': input should be 'tokens', 'text' or"):
        open_backend("http://127.0.0.1:9", mode="smoke")
    with pytest.raises(ModelError, match="did you mean 'http://localhost:8401'"):
        open_backend("localhost:8401", "server")
    with pytest.raises(ModelError, match="cannot be reached"):
        open_backend("HTTP://127.0.0.1:9")


def test_what_cannot_be_opened_is_one_line() -> None:
    with FakeServer() as server:
        with pytest.raises(ConfigError, match="did you mean 'timeout'"):
            open_backend(server.url, timout=3)
        with pytest.raises(ModelError, match=r"does not serve 'tinny': did you mean 'tiny'\?"):
            open_backend("tinny", "server", base_url=server.url)
    with pytest.raises(ModelError, match="cannot be reached"):
        open_backend(server.url)
    with pytest.raises(ModelError, match="set OPENAI_BASE_URL or base_url="):
        open_backend("tiny", "server")
    page = Reply([b"<html>"], 200, {"Content-Type": "text/html"})
    for reply, says in (
        (page, "a web page: is the address right"),
        (Reply([b"ok"], 200, {"Content-Type": "text/plain"}), "JSON object but 'ok'"),
        (body({"data": None}), "serves 0 models"),
        (body({"data": "none"}), "serves 0 models"),
        (body({"data": [1, {"id": None}, {}]}), "serves 0 models"),
        (body({"data": [{"id": f"m{i}"} for i in range(99)]}), "m11, and 87 more): name one"),
    ):
        with (
            ScriptedServer(answers=lambda *_, reply=reply: reply) as scripted,
            pytest.raises(ModelError) as error,
        ):
            open_backend(scripted.url)
        assert says in str(error.value) and "\n" not in str(error.value)


def rendering(method: str, path: str, sent: Any) -> Reply | None:
    """A server that renders prompts, as llama.cpp and vLLM do; its tokenizer is not available."""
    if path == "/v1/models":
        return body({"data": [{"id": "m", "root": "/no/such/folder", "max_model_len": 100}]})
    if path == "/v1/completions":
        return body({"choices": [{"text": "x"}]})
    if path in ("/apply-template", "/tokenize") and "messages" in sent:
        asked = sent["messages"][-1]["content"]
        if asked == "no":
            return body({"error": {"message": "only polite ones"}}, 400)
        if path == "/apply-template":
            return body({"prompt": f"<user>{asked}<bot><think>"})
        return body({"tokens": [ord(c) for c in f"<user>{asked}<bot><think>"]})
    if path == "/detokenize":
        return body({"prompt": "".join(map(chr, sent["tokens"]))})
    return None


@pytest.mark.parametrize("missing", ["", "/apply-template"])
def test_text_needs_no_tokenizer_where_the_server_renders_prompts(missing: str) -> None:
    def answers(method: str, path: str, sent: Any) -> Reply | None:
        return None if path == missing else rendering(method, path, sent)

    with ScriptedServer(answers=answers) as server, opened(server.url) as backend:
        assert "the server renders the prompts" in backend.capabilities.note
        assert not backend.capabilities.exact and backend.max_context == 300
        ids = backend.tokenizer.render([{"role": "user", "content": "2 + 2?"}])
        assert backend.tokenizer.decode(ids) == "<user>2 + 2?<bot><think>"
        assert not set(ids) & set(backend.tokenizer.control_ids)
        with pytest.raises(ModelError, match="rejects these messages: only polite ones"):
            backend.tokenizer.render([{"role": "user", "content": "no"}])


def test_a_server_that_only_completes_texts_is_asked_plain_questions() -> None:
    with FakeServer(returns_ids=False, chat=None, root="/no/such/folder") as server:
        with opened(server.url) as backend:
            assert "prompts are plain questions" in backend.capabilities.note
            messages = [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "Q"},
            ]
            ids = backend.tokenizer.render(messages)  # type: ignore[arg-type]
            assert backend.tokenizer.decode(ids) == "Be short.\n\nQuestion: Q\n\nAnswer:"
        with pytest.raises(ModelError, match="pass tokenizer="):
            open_backend(server.url, mode="tokens")


def test_a_chat_is_preferred_to_plain_questions() -> None:
    with FakeServer(returns_ids=False, root="/no/such/folder") as server:
        with opened(server.url) as backend:
            assert "chat over HTTP" in backend.capabilities.note
        with opened(server.url, mode="text") as backend:
            assert "prompts are plain questions" in backend.capabilities.note


def test_a_server_that_can_do_nothing_says_so() -> None:
    with (
        FakeServer(completions=False, chat=None) as server,
        pytest.raises(ModelError, match="has neither completions nor chats"),
    ):
        open_backend(server.url)


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is called instead of waiting for a server that loads its model."""
    steps: list[Any] = []

    def wait(_: Any) -> float:
        steps.pop(0)()
        return 0.0

    monkeypatch.setattr(once_loaded, "wait", wait)
    return steps


LOADING = (503, {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})


@pytest.mark.parametrize("backend", [None, "llamacpp"])
def test_a_server_that_loads_its_model_is_waited_for(
    backend: str | None, loading: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with FakeLlama() as server:
        server.answers["/props"] = LOADING
        loading += [lambda: None, server.answers.clear]
        with opened(server.url, backend=backend) as llama:
            assert llama.capabilities.exact and loading == []
        (said,) = caplog.messages
        assert said.startswith(f"{server.url} answered 503: Loading model: waiting for up to")


def test_a_model_that_is_listed_before_it_is_loaded_is_waited_for(loading: list[Any]) -> None:
    busy = [body(LOADING[1], 503)]

    def answers(method: str, path: str, sent: Any) -> Reply | None:
        return busy[0] if busy and path == "/v1/completions" else rendering(method, path, sent)

    with ScriptedServer(answers=answers) as server:
        loading.append(busy.clear)
        with opened(server.url, mode="text") as backend:
            assert "the server renders the prompts" in backend.capabilities.note


def test_a_server_that_never_gets_its_model_loaded_is_one_line(
    loading: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once_loaded, "stop", lambda state: state.attempt_number > 1)
    with FakeLlama() as server:
        server.answers["/props"] = LOADING
        loading += [lambda: None] * 2
        with pytest.raises(ModelError, match="answered 503: Loading model") as error:
            open_backend(server.url, "llamacpp")
        assert "\n" not in str(error.value)
