"""The pre-training program, on a model of a few thousand weights."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from recipes.tiny import pretrain, tokenizer
from recipes.tiny.model import Settings
from recipes.tiny.text import SHARES, make_document

SHARES_BY_NAME = {"thoughts": 0.4, "code": 0.3, "pasted": 0.2, "plain": 0.1}
SETTINGS = Settings(
    seed=3,
    minutes=1e6,
    hidden=32,
    layers=1,
    length=32,
    batch=2,
    matrix_rate=0.02,
    rate=1e-3,
    bf16=False,
    shares=SHARES_BY_NAME,
)
CONFIG = """\
seed = 0
minutes = 75
hidden = 128
layers = 4
length = 640
batch = 4
matrix_rate = 0.02
rate = 3e-3
bf16 = true
[shares]
thoughts = 0.4
code = 0.3
pasted = 0.2
plain = 0.1
"""


@pytest.fixture(autouse=True)
def small_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer from few documents, to be quick."""
    monkeypatch.setattr(tokenizer, "DOCUMENTS", 200)


def train(folder: Path, settings: Settings) -> pretrain.State:
    """Train in `folder`, with run and model folders inside."""
    (folder / "run").mkdir(parents=True, exist_ok=True)
    return pretrain.train(folder / "model", folder / "run", settings, "cpu", compiled=False)


def stop_at(monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    """Press Ctrl-C right after this step."""
    real = getattr(pretrain.step, "real", pretrain.step)

    def stopped(settings: Any, state: Any, *rest: Any) -> None:
        real(settings, state, *rest)
        if state.step == last:
            raise KeyboardInterrupt

    stopped.real = real  # type: ignore[attr-defined]
    monkeypatch.setattr(pretrain, "step", stopped)


def weights(folder: Path) -> Any:
    """The weights in the checkpoint of a run, in one row."""
    parts = torch.load(folder / "run" / "checkpoint.pt", weights_only=True)
    return torch.cat([value.flatten() for value in parts["model"].values()])


def test_ctrl_c_keeps_a_model_and_the_run_goes_on_as_if_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parted, forgetful = (tmp_path / name for name in ("whole", "parted", "forgetful"))
    stop_at(monkeypatch, 8)
    train(whole, SETTINGS)
    for folder in (parted, forgetful):
        stop_at(monkeypatch, 5)
        first = train(folder, SETTINGS)
        assert first.step == 5
        assert (folder / "model" / "model.safetensors").exists()
        assert "words" in json.loads((folder / "model" / "scope.json").read_text())
    path = forgetful / "run" / "checkpoint.pt"
    parts = torch.load(path, weights_only=True)
    for momentum in parts["optimizers"][0]["state"].values():  # Muon's
        momentum["momentum_buffer"].zero_()
    torch.save(parts, path)
    stop_at(monkeypatch, 8)
    for folder in (parted, forgetful):
        capsys.readouterr()
        second = train(folder, SETTINGS)
        assert "resumed at step 5" in capsys.readouterr().out
        assert (second.step, second.tokens, len(second.recent)) == (8, 8 * 64, 8)
        assert second.document > first.document
    same = (weights(parted) - weights(whole)).abs().max()
    other = (weights(forgetful) - weights(whole)).abs().max()
    assert same < other / 20


def test_a_run_ends_with_its_time_and_more_time_lengthens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(SETTINGS, minutes=1e-4)
    first = train(tmp_path, short)
    longer = replace(SETTINGS, minutes=first.seconds / 60 + 1e-3)
    second = train(tmp_path, longer)
    assert second.step > first.step > 1
    assert longer.progress(second.seconds) == 1


@pytest.mark.parametrize(
    "changed", [{"seed": 4}, {"rate": 1e-4}, {"shares": {**SHARES_BY_NAME, "code": 0.0}}]
)
def test_a_checkpoint_of_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    stop_at(monkeypatch, 1)
    train(tmp_path, SETTINGS)
    with pytest.raises(ValueError, match="other settings"):
        train(tmp_path, replace(SETTINGS, **changed))


def test_rows_begin_with_a_document_and_have_one_id_more_than_the_length() -> None:
    made = tokenizer.train_tokenizer(3)
    state = pretrain.State()
    documents = set()
    for _ in range(40):
        first = state.document
        ids = pretrain.row(replace(SETTINGS, length=150), state, made)
        assert len(ids) == 151
        whole = "".join(
            make_document(3, number, tuple(SHARES_BY_NAME.values()))
            for number in range(first, state.document)
        )
        assert whole.startswith(made.decode(ids).rstrip("�"))
        documents.add(state.document - first)
    assert max(documents) > 1
    assert state.document > pretrain.FIRST_DOCUMENT + 40


def test_batches_go_on_where_the_state_says() -> None:
    made = tokenizer.train_tokenizer(3)
    state = pretrain.State()
    stream = pretrain.batches(SETTINGS, state, made)
    first = next(stream)
    assert first.shape == (2, 33)
    again = pretrain.batches(SETTINGS, replace(state), made)
    second = next(stream)
    assert second.tolist() == next(again).tolist() != first.tolist()


def test_rates_rise_and_fall() -> None:
    settings = replace(SETTINGS, minutes=1.0)
    assert settings.rate_at(0, 0.0) == pytest.approx(1 / 100)
    assert settings.rate_at(49, 0.0) == pytest.approx(1 / 2)
    assert settings.rate_at(200, 0.0) == pytest.approx(1)
    assert settings.rate_at(200, 30.0) == pytest.approx(0.51)
    assert settings.rate_at(200, 60.0) == pytest.approx(1 / 50)
    assert settings.rate_at(200, 90.0) == pytest.approx(1 / 50)
    assert settings.progress(90.0) == 1


def test_the_two_configs_differ_in_shares_and_minutes_alone() -> None:
    base, control = (
        Settings.read(pretrain.CONFIGS / f"{name}.toml") for name in ("base", "control")
    )
    assert replace(control, shares=base.shares, minutes=base.minutes) == base
    assert tuple(base.shares.values()) == SHARES
    assert control.shares == {**base.shares, "code": 0, "pasted": 0}


def test_flags_stand_over_the_config() -> None:
    path = pretrain.CONFIGS / "base.toml"
    read = Settings.read(path, minutes=0.5, seed=None)
    assert read == replace(Settings.read(path), minutes=0.5)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed = 0", "seed = ", "Invalid value"),
        ("seed = 0", "seeds = 0", "seeds"),
        ("layers = 4\n", "", "layers"),
        ("plain = ", "other = ", "shares"),
        ("layers = 4", "layers = '4'", "layers = '4' is not a number"),
        ("hidden = 128", "hidden = 100", "32"),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG, encoding="utf-8")
    assert Settings.read(path).shares == SHARES_BY_NAME
    path.write_text(CONFIG.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=told) as caught:
        Settings.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_the_command_names_a_config_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pretrain", "--config", "missing.toml"])
    with pytest.raises(SystemExit) as caught:
        pretrain.main()
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: missing.toml: " in last
    assert "No such file" in last
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_needs_torch_transformers_and_tokenizers_alone() -> None:
    # So that it runs on a machine with a GPU where nothing can be installed.
    others = {"start_sdk", "start_tools", "pydantic", "datasets", "scipy", "rich"}
    code = (
        "import sys; from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM\n"
        "own = {*sys.modules}  # transformers loads scikit-learn, say, where it is installed\n"
        f"import recipes.tiny.pretrain; print(sorted({others} & {{*sys.modules}} - own))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
