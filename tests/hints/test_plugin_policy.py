"""A third-party hint policy: a separate package, installed, found and used by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from installing import PLUGINS, install
from typer.testing import CliRunner

from start_sdk import Trace, plugins
from start_sdk.cli import app

pytestmark = pytest.mark.torch
QUESTION = "Find the product of 34 and 56."
BASE = "start-tiny-base"  # says "verify" in its thought


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install(tmp_path / "site", PLUGINS / "start-hints-verify")
    monkeypatch.syspath_prepend(str(folder))


def test_it_hints_in_a_real_thought_at_its_own_trigger(site: None) -> None:
    assert plugins.names("hints") == ["connective", "end", "none", "verify"]
    done = CliRunner().invoke(
        app, ["ask", QUESTION, "--model", BASE, "--hints", "verify", "--json"]
    )
    assert done.exit_code == 0, done.output
    trace = Trace.model_validate_json(done.stdout)
    (hint,) = trace.hints
    assert (hint.id, hint.category, hint.position) == ("by-code", "Verification", "connective")
    assert hint.trigger == "verify"
    assert "I should verify, and Python does that without mistakes.\n```python\n" in trace.thinking
    assert [call.status for call in trace.calls] == ["ok"]


def test_solve_uses_it_and_its_rows_name_it(site: None, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"question": QUESTION}), encoding="utf-8")
    args = ["solve", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*args, "--model", BASE, "--hints", "verify"])
    assert done.exit_code == 0, done.output
    row = json.loads((tmp_path / "out" / "rows.jsonl").read_text(encoding="utf-8"))
    assert row["policy"] == "verify"
    assert [h.id for h in Trace.model_validate(row["result"]["trace"]).hints] == ["by-code"]
