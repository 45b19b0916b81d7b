"""start-smollm2, an embedded adapter: its base is found, or one line says how to get it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from start_sdk import ConfigError, ModelError, models, open_backend
from start_sdk.batch import model_hash
from start_sdk.cli import app
from start_sdk.models import find

NAME = "start-smollm2"
FOLDER = models.folder(NAME) or Path()


def test_it_is_small_and_the_card_names_its_weights() -> None:
    weights = (FOLDER / "adapter_model.safetensors").read_bytes()
    assert len(weights) <= 12_000_000
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"`{hashlib.sha256(weights).hexdigest()}`" in card


@pytest.mark.torch
def test_without_its_base_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("START_SMOLLM2", str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"nowhere'.*`make real`.*set START_SMOLLM2"):
        open_backend(NAME)
    done = CliRunner().invoke(app, ["ask", "What is 12 * 7?", "--model", NAME])
    assert done.exit_code == 2 and "make real" in done.output and "Traceback" not in done.output


@pytest.mark.torch
def test_its_base_is_the_folder_that_is_given(
    tmp_path: Path, random_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("START_SMOLLM2", str(random_model))
    found = find(NAME)
    assert (found.location, found.adapter) == (str(random_model), str(FOLDER))
    # A model is its base and its adapter, in the keys of rows, too.
    assert model_hash(NAME) != model_hash(str(random_model))
    with pytest.raises(ModelError, match="does not fit 'start-smollm2'"):
        open_backend(NAME)
    with pytest.raises(ConfigError, match="is an adapter itself"):
        open_backend(NAME, adapter=str(tmp_path))


def test_a_strangers_folder_names_no_base(tmp_path: Path) -> None:
    text = (FOLDER / "base.json").read_text(encoding="utf-8")
    (tmp_path / "base.json").write_text(text, encoding="utf-8")
    assert models.base_of(tmp_path) is None
