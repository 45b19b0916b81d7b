"""`start-sdk check-backend`: for our backends, servers and third-party packages."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from installing import PLUGINS, install
from openai_server import FakeServer
from typer.testing import CliRunner, Result

from start_sdk import Chunk, ModelError
from start_sdk.cli import app
from start_sdk.testing import CharTokenizer, ScriptedBackend, check_backend


def check(*args: str) -> Result:
    return CliRunner().invoke(app, ["check-backend", *args])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the package is installed."""
    return install(tmp_path_factory.mktemp("site"), PLUGINS / "start-backend-parrot")


def test_a_third_party_backend_is_found_and_checked(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site))
    done = check("polly", "--backend", "parrot")
    assert done.exit_code == 0, done.output
    head, format, context, speed, *lines = done.stdout.splitlines()
    assert head == "polly on a perch"
    assert (format, context) == ("  format    think", "  context   10,000 characters")
    assert re.match(r"  speed     [\d,]+ characters/s alone, [\d,]+ with 8 at once", speed)
    assert [line for line in lines if "✓" not in line] == [
        "  · reuses its cache                            0 of 323 tokens",
        "      costs: each splice recomputes the whole thought (or the server reports no cached "
        "tokens)",
        "      helps: the server's prefix cache; vLLM reports it with "
        "--enable-prompt-tokens-details",
        "  · returns log probabilities                   none",
        "      costs: no importance ratios, no ranking by likelihood",
        "      helps: a server that returns ids (vLLM, SGLang, llama.cpp), or the model itself",
    ]


def test_a_broken_contract_is_reported_with_its_cost(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(site))
    done = check("polly", "--backend", "deaf")
    assert done.exit_code == 2
    assert "✗ stops inside thinking" in done.stdout
    assert "no code runs and no hint is inserted" in done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert "breaks the contract: stops inside thinking, withholds the match" in line


def test_an_address_is_checked_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer() as server:
        done = check(server.url)
    assert done.exit_code == 0, done.output
    assert "✗" not in done.stdout and done.stdout.startswith("tiny on token ids over HTTP")


def lacks(*args: str) -> tuple[dict[str, str], list[str]]:
    """What the command says as JSON: the facts, and the names of what fails."""
    done = check(*args, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    return found, [c["name"] for c in found.pop("checks") if not c["ok"]]


def test_a_server_of_text_alone_lacks_ids_and_what_needs_them() -> None:
    with FakeServer(returns_ids=False, chat=None, served=["m"], root="unknown") as server:
        facts, missing = lacks(server.url)
    assert facts["format"] == "plain" and facts["runs as"].startswith("text over HTTP")
    assert missing == [
        "returns the ids it sampled",
        "reuses its cache",
        "returns log probabilities",
    ]


def test_a_server_of_chats_that_continues_none_is_used_as_far_as_it_goes() -> None:
    with FakeServer(completions=False, chat="never", served=["m"], root="unknown") as server:
        facts, missing = lacks(server.url)
    assert "it cannot continue messages" in facts["runs as"]
    assert "continues a prefix exactly" in missing and "text matches the ids" not in missing


class Remembering(ScriptedBackend):
    """Says that it has cached all that it is sent."""

    async def generate(
        self, prefix_ids: Sequence[int], *args: Any, **options: Any
    ) -> AsyncGenerator[Chunk, None]:
        async with aclosing(super().generate(prefix_ids, *args, **options)) as chunks:
            async for chunk in chunks:
                yield replace(chunk, cached=len(prefix_ids))


async def test_no_more_tokens_are_reported_as_cached_than_were_sent() -> None:
    checks = await check_backend(Remembering(lambda _: ["one two three four five six"]))
    (found,) = (c.detail for c in checks if c.name == "reuses its cache")
    cached, sent = re.findall(r"\d+", found)
    assert cached == sent


async def test_a_template_that_loses_the_question_is_the_only_finding() -> None:
    tokenizer = CharTokenizer()

    def render(messages: Any, template: Any = None) -> list[int]:
        raise ModelError("the chat template drops a user's message")

    tokenizer.render = render  # type: ignore[method-assign]
    (found,) = await check_backend(ScriptedBackend(["x"], tokenizer=tokenizer))
    assert (found.name, found.ok) == ("shows the model the whole question", False)
    assert found.required and "--tokenizer" in found.helps


def test_an_address_where_nothing_answers_is_one_clear_line() -> None:
    with FakeServer() as server:
        pass
    done = check(server.url)
    (line,) = done.stderr.strip().splitlines()
    assert (done.exit_code, done.stdout) == (2, "") and f"{server.url} cannot be reached" in line
