"""Models are found, and broken ones refused, without loading anything and without a network."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from families import save

from start_sdk import ModelError, models, open_backend
from start_sdk.models import find, hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all files of a model; one small tensor stands for its weights."""
    made = save("qwen3", tmp_path / "whole", context=1024)
    write_weights(made / "model.safetensors")
    return made


def write_weights(path: Path, *, cut: int = 0) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    path.write_bytes((struct.pack("<Q", len(header)) + header + bytes(16))[: -cut or None])


def edit(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


BROKEN: dict[str, Callable[[Path], object]] = {
    "it has no config.json": lambda f: (f / "config.json").unlink(),
    "config.json is not JSON": edit("config.json", '{"model_type": "llama",'),
    "config.json is empty": edit("config.json", ""),
    "config.json is not a JSON object": edit("config.json", "[]"),
    "config.json has no model_type": edit("config.json", "{}"),
    "tokenizer.json is not JSON": edit("tokenizer.json", "{\ud83d".encode("utf-8", "ignore").decode()),
    "generation_config.json is not JSON": edit("generation_config.json", "nothing"),
    "it has no weights": lambda f: (f / "model.safetensors").unlink(),
    "model.safetensors is empty": edit("model.safetensors", ""),
    "model.safetensors is not a safetensors file": edit("model.safetensors", "not weights, but long"),
    "model.safetensors is a Git LFS pointer": edit(
        "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 16\n"
    ),
    "model.safetensors has 79 bytes of 86: copy it again": lambda f: write_weights(
        f / "model.safetensors", cut=7
    ),
    "model-2.safetensors is missing, one of 2": edit(
        "model.safetensors.index.json",
        '{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_folder_is_one_clear_line(folder: Path, reason: str) -> None:
    assert find(str(folder)).location == str(folder)
    BROKEN[reason](folder)
    with pytest.raises(ModelError) as error:
        find(str(folder))
    assert reason in str(error.value) and repr(str(folder)) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_a_tokenizer_is_refused_even_if_only_that_is_wanted(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    for weights in (True, False):
        with pytest.raises(ModelError, match="no tokenizer"):
            find(str(folder), weights=weights)


def test_weights_do_not_matter_where_the_tokenizer_is_wanted(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "config.json").unlink()
    assert find(str(folder), weights=False).local


def test_the_way_to_a_model_in_an_unusual_folder_is_shown(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run" / "checkpoint-20")
    with pytest.raises(ModelError, match="its folder checkpoint-20 has one"):
        find(str(tmp_path / "run"))
    (folder / "config.json").unlink()
    (folder / "a.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match=r"name one of them, such as a\.gguf"):
        find(str(folder))
    config = {"base_model_name_or_path": "acme/base"}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(
        ModelError, match=r"open its model \(acme/base\) with this folder as adapter="
    ):
        find(str(folder))


def test_a_gguf_file_is_named_by_itself_or_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("start_sdk.models._finding.find_spec", lambda _: True)
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    whole = find(str(file))
    assert whole == find(str(tmp_path), gguf_file="m.gguf")
    assert (whole.location, whole.gguf_file) == (str(tmp_path), "m.gguf")
    with pytest.raises(ModelError, match=r"there is no file n\.gguf"):
        find(str(tmp_path), gguf_file="n.gguf")
    file.write_bytes(b"PK" + bytes(100))
    with pytest.raises(ModelError, match=r"m\.gguf is not a GGUF file"):
        find(str(file))
    monkeypatch.setattr("start_sdk.models._finding.find_spec", lambda name: name != "gguf")
    with pytest.raises(ModelError, match=r"pip install gguf$"):
        find(str(file))
    with pytest.raises(ModelError, match="is a file: name a folder"):
        find(__file__)


@pytest.mark.parametrize(
    ("model", "meant"), [("start-tny", "start-tiny"), ("{}/whle", "{}/whole"), ("Qwen/Qwen3-4b", "Qwen/Qwen3-4B")]
)  # fmt: skip
def test_a_typo_is_answered_with_the_nearest_name(
    model: str, meant: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    (folder.parent / "cache" / "models--Qwen--Qwen3-4B").mkdir(parents=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder.parent / "cache"))
    with pytest.raises(ModelError) as error:
        find(model.format(folder.parent))
    assert str(error.value).endswith(f"Did you mean {meant.format(folder.parent)!r}?")


def cached(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as the hub's library would have stored it, as acme/tiny."""
    from huggingface_hub import constants

    stored = cache / "models--acme--tiny"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text("0123abc", encoding="utf-8")
    (stored / "snapshots").mkdir()
    (stored / "snapshots" / "0123abc").symlink_to(folder)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return stored / "snapshots" / "0123abc"


def test_a_cached_model_needs_no_network(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = cached(folder, tmp_path / "cache", monkeypatch)
    monkeypatch.setattr(hub, "online", lambda: False)
    monkeypatch.setattr(
        "huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "cache")
    )
    found = find("acme/tiny")
    assert found.location == str(snapshot) and found.local
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="'acme/tiny' cannot be loaded: it has no weights"):
        find("acme/tiny")


def test_without_a_network_the_hub_is_said_to_be_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for offline, why in ((True, "HF_HUB_OFFLINE is set"), (False, "the hub cannot be reached")):
        monkeypatch.setattr(hub, "offline", lambda offline=offline: offline)
        monkeypatch.setattr(hub, "online", lambda: False)
        with pytest.raises(ModelError, match=f"not in the hub's cache, and {why}"):
            find("acme/no-such-model")


def test_a_hub_that_does_not_answer_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    class Silent:
        def head(self, *_: object, **__: object) -> None:
            time.sleep(30)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_session", Silent)
    monkeypatch.setattr(hub, "SECONDS", 0.05)
    began = time.monotonic()
    assert not hub.online()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["", " ", "x" * 5000, "a\0b", "a//b", "../no/such"])
def test_a_name_that_no_model_can_have_is_refused(name: str) -> None:
    with pytest.raises(ModelError):
        find(name)


@pytest.mark.torch
def test_a_bad_folder_and_a_misspelt_option_are_refused_before_torch_is_imported(
    tmp_path: Path,
) -> None:
    code = (
        "import sys, start_sdk\n"
        "for options in ({}, {'dvice': 'cpu'}, {'threads': 'many'}, {'adapter': '/no/such'}):\n"
        "    try:\n"
        f"        start_sdk.open_backend({str(tmp_path)!r} if not options else 'start-tiny', **options)\n"
        "    except start_sdk.ConfigError as error:\n"
        "        print(error)\n"
        "print({'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 5 and lines[-1] == "set()"
    assert "has no config.json" in lines[0] and "did you mean 'device'?" in lines[1]
    assert "threads='many'" in lines[2] and "no such folder" in lines[3]


@pytest.mark.torch
def test_every_embedded_model_is_whole() -> None:
    for name in (models.BASE, models.DEFAULT):
        assert find(name).location == str(models.folder(name))
    with pytest.raises(ModelError, match="is a folder: revision="):
        open_backend("start-tiny", revision="main")
