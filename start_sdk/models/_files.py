"""Whether the files of a model can be what they should be, found out without loading them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "*.model",
    "*.tiktoken",
    "tekken.json",
)
_READ = ("config.json", "generation_config.json", "special_tokens_map.json", "tokenizer")
"""How the names of JSON files begin that a library reads."""
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")
_GGUF = b"GGUF"
_POINTER = b"version https://git-lfs"


def model_fault(folder: Path) -> str | None:
    """What is wrong with a folder that should hold a whole model, in a few words; None if nothing
    is that can be seen from outside."""
    if not (folder / "config.json").is_file():
        return _no_config(folder)
    return tokenizer_fault(folder) or next(_weight_faults(folder), None)


def tokenizer_fault(folder: Path) -> str | None:
    """The same for a folder that should hold a tokenizer, and may hold a model."""
    if not any(next(folder.glob(name), None) for name in _TOKENIZERS):
        return "it has no tokenizer (tokenizer.json)"
    for path in sorted(folder.glob("*.json")):
        read = path.name.startswith(_READ) or path.name.endswith(".index.json")
        if read and (fault := _json_fault(path)):
            return fault
    return None


def gguf_fault(path: Path) -> str | None:
    """The same for a GGUF file."""
    if not path.is_file():
        return f"there is no file {path.name}"
    if path.stat().st_size < 64:
        return f"{path.name} is empty"
    with path.open("rb") as file:
        head = file.read(len(_POINTER))
    return None if head.startswith(_GGUF) else _no_weights(path, head, "a GGUF file")


def _no_config(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        base = _read(folder / "adapter_config.json").get("base_model_name_or_path") or "its base"
        return (
            f"it is an adapter and has no config.json: open its model ({base}) with this folder "
            "as adapter="
        )
    if files := sorted(p.name for p in folder.glob("*.gguf")):
        return f"it has no config.json, but GGUF files: name one of them, such as {files[0]}"
    if inside := sorted(p.parent.name for p in folder.glob("*/config.json")):
        return f"it has no config.json; its folder {inside[-1]} has one"
    return "it has no config.json"


def _json_fault(path: Path) -> str | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # also bytes that are no UTF-8
        if isinstance(error, OSError):
            return f"{path.name} cannot be read: {error.strerror}"
        return (
            f"{path.name} is not JSON: {error}" if path.stat().st_size else f"{path.name} is empty"
        )
    if not isinstance(value, dict):
        return f"{path.name} is not a JSON object"
    if path.name == "config.json" and not {"model_type", "auto_map"} & value.keys():
        return "config.json has no model_type: it is not the config of a model"
    return None


def _weight_faults(folder: Path) -> Iterator[str]:
    files = sorted({p for name in _WEIGHTS for p in folder.glob(name) if p.is_file()})
    present = {p.name for p in files}
    for index in sorted(folder.glob("*.index.json")):
        named = _read(index).get("weight_map")
        parts = set(named.values()) if isinstance(named, dict) else set()
        if missing := sorted(map(str, parts - present)):
            yield f"{missing[0]} is missing, one of {len(parts)} files of weights"
    if not files:
        yield "it has no weights (model.safetensors)"
    for path in files:
        if not path.stat().st_size:
            yield f"{path.name} is empty"
        elif path.suffix == ".safetensors" and (fault := _safetensors_fault(path)):
            yield fault


def _safetensors_fault(path: Path) -> str | None:
    """A safetensors file is a length, a header of that length, and the data that it describes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > size - 8:
            return _no_weights(path, head + file.read(len(_POINTER)), "a safetensors file")
        try:
            header = json.loads(file.read(length))
            ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
            whole = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return f"{path.name} is not a safetensors file"
    return None if whole == size else f"{path.name} has {size:,} bytes of {whole:,}: copy it again"


def _no_weights(path: Path, head: bytes, kind: str) -> str:
    if head.startswith(_POINTER):
        return f"{path.name} is a Git LFS pointer, not the file itself: run git lfs pull"
    return f"{path.name} is not {kind}"


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
