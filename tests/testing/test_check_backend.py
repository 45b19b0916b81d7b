"""`start-sdk check-backend`: for our backends, servers and third-party packages."""

from __future__ import annotations

from pathlib import Path

import pytest
from installing import PLUGINS, install
from openai_server import FakeServer
from typer.testing import CliRunner, Result

from start_sdk.cli import app


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
    head, *lines = done.stdout.splitlines()
    assert head == "polly on a perch"
    assert [line for line in lines if "✓" not in line] == [
        "  · reuses its cache                            each splice recomputes the whole "
        "thought (or the server reports no cached tokens) (0 of 321 tokens)",
        "  · returns log probabilities                   no importance ratios, no ranking by "
        "likelihood (none)",
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


def test_an_address_where_nothing_answers_is_one_clear_line() -> None:
    with FakeServer() as server:
        pass
    done = check(server.url)
    (line,) = done.stderr.strip().splitlines()
    assert (done.exit_code, done.stdout) == (2, "") and f"{server.url} cannot be reached" in line
