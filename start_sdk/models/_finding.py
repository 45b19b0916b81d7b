"""Finds a model by its name: embedded, a folder, a GGUF file, or on the hub. Loads nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from start_sdk import plugins
from start_sdk.errors import ModelError
from start_sdk.models import hub
from start_sdk.models._embedded import base_of, folder, names
from start_sdk.models._files import gguf_fault, model_fault, tokenizer_fault


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's files are.

    Attributes:
        location: a folder or a hub id, as the libraries take it.
        gguf_file: name of the GGUF file in it that is the model, if one is.
        revision: of a hub id.
        local: whether everything is on this machine.
        adapter: the folder of an embedded adapter that belongs to it.
    """

    location: str
    gguf_file: str | None = None
    revision: str | None = None
    local: bool = True
    adapter: str | None = None


def find(
    model: str,
    *,
    gguf_file: str | None = None,
    revision: str | None = None,
    weights: bool = True,
) -> Source:
    """Finds a model, and checks what can be checked without loading it.

    What is on this machine needs no network. The hub is given a few seconds to answer.

    Args:
        model: an embedded model, a folder, a GGUF file, or a hub id.
        gguf_file: a GGUF file in the folder or on the hub.
        revision: a branch, tag or commit of a hub id.
        weights: whether the weights are needed, or the tokenizer alone.

    Raises:
        ModelError: there is no such model, the hub cannot be asked, or its files are broken.
        MissingExtra: it is on the hub, whose library is not installed.
    """
    if not model.strip():
        raise ModelError(f"the model name is empty; embedded models: {', '.join(names())}")
    if plugins.backend_for(model) == "server":
        raise ModelError(f"{model!r} is a server's address, and no model to load: name no backend")
    path, adapter = folder(model) or Path(model), None
    if base := base_of(path):
        path, adapter = base, str(path)
    if os.path.isfile(path):  # False for names that no file can have
        if gguf_file or path.suffix != ".gguf":
            raise ModelError(f"{model!r} is a file: name a folder, a GGUF file or a hub id")
        path, gguf_file = path.parent, path.name
    if gguf_file and (missing := [name for name in ("gguf", "accelerate") if not find_spec(name)]):
        wanted = " ".join(missing)
        raise ModelError(
            f"{model!r}: to read a GGUF file, install what is missing: pip install {wanted}"
        )
    if os.path.isdir(path):
        if revision:
            raise ModelError(f"{model!r} is a folder: revision= is for models of the hub")
        _check(model, path, gguf_file, weights)
        return Source(str(path), gguf_file, adapter=adapter)
    return _on_hub(model, gguf_file, revision, weights)


def _check(model: str, path: Path, gguf_file: str | None, weights: bool) -> None:
    if gguf_file:
        fault = gguf_fault(path / gguf_file)
    else:
        fault = model_fault(path) if weights else tokenizer_fault(path)
    if fault:
        raise ModelError(f"the model in {model!r} cannot be loaded: {fault}")


def _on_hub(model: str, gguf_file: str | None, revision: str | None, weights: bool) -> Source:
    """The model's copy in the hub's cache if the hub cannot be asked, else its id."""
    offline = hub.offline()  # says, too, if the hub's library is missing
    from huggingface_hub import try_to_load_from_cache

    wanted = gguf_file or ("config.json" if weights else "tokenizer_config.json")
    try:
        cached = try_to_load_from_cache(model, wanted, revision=revision)
    except ValueError:
        raise _unknown(model, "not a hub id") from None
    if hub.online():
        _ask(model, wanted, revision)
        return Source(model, gguf_file, revision, local=False)
    if not isinstance(cached, str):
        why = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        raise _unknown(model, f"not in the hub's cache, and {why}")
    path = Path(cached).parent
    _check(model, path, gguf_file, weights)
    return Source(str(path), gguf_file)


def _ask(model: str, file: str, revision: str | None) -> None:
    """Raises ModelError if the hub says that it does not have a file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    url = hf_hub_url(model, file, revision=revision)
    try:
        hub.within(hub.SECONDS, lambda: get_hf_file_metadata(url, timeout=hub.SECONDS))
    except GatedRepoError:
        raise ModelError(
            f"the hub gives {model!r} only to accounts with access: ask for it on the model's "
            "page, then log in with `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise _unknown(model, "the hub has no such model, or not for this account") from None
    except RevisionNotFoundError:
        raise ModelError(f"the hub has no revision {revision!r} of {model!r}") from None
    except EntryNotFoundError:
        raise ModelError(f"{model!r} is on the hub, but has no {file}") from None
    except Exception:  # a boundary: the library that loads the model asks again, and reports
        return


def _unknown(model: str, on_hub: str) -> ModelError:
    near = get_close_matches(model, sorted({*_nearby(model)}), n=1, cutoff=0.7)
    if plugins.HOST.match(model):
        near = [f"http://{model}"]
    meant = f" Did you mean {near[0]!r}?" if near else ""
    if os.environ.get("OPENAI_BASE_URL"):  # which is asked only by those backends
        meant += " To ask the server of OPENAI_BASE_URL, choose the backend 'server'."
    return ModelError(
        f"no model {model!r}: it is not embedded ({', '.join(names())}), not a folder or a GGUF "
        f"file, and {on_hub}.{meant}"
    )


def _nearby(model: str) -> Iterator[str]:
    """Names that may be meant: embedded models, folders beside the one named, cached models."""
    yield from names()
    parent = Path(model).parent
    try:
        for path in parent.iterdir():
            if path.suffix == ".gguf" or (path / "config.json").is_file():
                yield str(Path(model).parent / path.name)
    except (OSError, ValueError):
        pass
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    for path in cache.glob("models--*--*") if cache.is_dir() else ():
        yield path.name.removeprefix("models--").replace("--", "/", 1)
