"""The pre-training program, on a model of a few thousand weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from recipes.tiny import pretrain, tokenizer

SETTINGS = pretrain.Settings(
    minutes=0.01, seed=3, hidden=32, layers=1, length=32, batch=2, rate=1e-3, bf16=False
)


@pytest.fixture(autouse=True)
def small_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer from few documents, to be quick."""
    monkeypatch.setattr(tokenizer, "DOCUMENTS", 200)


def train(folder: Path, settings: pretrain.Settings) -> pretrain.State:
    """Train in `folder`, with run and model folders inside."""
    (folder / "run").mkdir(exist_ok=True)
    return pretrain.train(folder / "model", folder / "run", settings, "cpu", compiled=False)


def test_ctrl_c_keeps_a_model_and_the_run_goes_on_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = pretrain.step

    def stopped(settings: Any, state: Any, *rest: Any) -> None:
        if state.step == 5:
            raise KeyboardInterrupt
        real(settings, state, *rest)

    monkeypatch.setattr(pretrain, "step", stopped)
    first = train(tmp_path, replace(SETTINGS, minutes=10))
    assert first.step == 5
    assert (tmp_path / "model" / "model.safetensors").exists()
    assert "words" in json.loads((tmp_path / "model" / "scope.json").read_text())

    monkeypatch.setattr(pretrain, "step", real)
    longer = replace(SETTINGS, minutes=first.seconds / 60 + 0.01)  # time may be added
    second = train(tmp_path, longer)
    assert "resumed at step 5" in capsys.readouterr().out
    assert second.step > first.step
    assert second.tokens == second.step * 64
    assert second.document >= first.document
    assert longer.progress(second.seconds) == 1
    with pytest.raises(SystemExit, match="other settings"):
        train(tmp_path, replace(longer, seed=4))


def test_batches_go_on_where_the_state_says() -> None:
    made = tokenizer.train_tokenizer(3)
    state = pretrain.State()
    stream = pretrain.batches(SETTINGS, state, made)
    next(stream)
    again = pretrain.batches(SETTINGS, replace(state, buffer=list(state.buffer)), made)
    assert next(stream).tolist() == next(again).tolist()


def test_rate_rises_and_falls() -> None:
    settings = replace(SETTINGS, minutes=1.0)
    assert settings.rate_at(0, 0.0) == pytest.approx(settings.rate / 100)
    assert settings.rate_at(200, 0.0) == pytest.approx(settings.rate)
    assert settings.rate_at(200, 60.0) == pytest.approx(settings.rate / 50)
    assert settings.progress(90.0) == 1
