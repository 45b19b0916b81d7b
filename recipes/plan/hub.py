"""Hub requests of a plan's checks: small files and first rows, with a time limit.

With HF_HUB_OFFLINE set, only the hub's caches on this machine are used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from start_sdk import ConfigError, MissingExtra, StartError, models
from start_sdk.models import hub
from start_sdk.models.hub import offline

Found = TypeVar("Found")
LONG = 8.0
"""Seconds for small files, or for a first row."""
SMALL = ("*.json", "*.jinja", "*.model", "*.txt")
"""Of a model: its config and its tokenizer, whatever the kind; no weights."""


class NotHere(StartError):
    """What this machine does not have, and cannot fetch now: another one may."""


@cache
def online() -> bool:
    """Whether the hub answers; it is asked once in a program."""
    return hub.online()


def within(seconds: float, work: Callable[[], Found]) -> Found:
    """As `start_sdk.models.hub.within`.

    Raises:
        NotHere: it took longer.
    """
    try:
        return hub.within(seconds, work)
    except TimeoutError as error:
        raise NotHere(
            f"not on this machine, and the hub did not answer within {seconds:.0f} s"
        ) from error


def model_folder(model: str) -> Path:
    """The folder with a model's config and tokenizer: embedded, local, or in the hub's cache, into
    which these files, and no weights, are fetched if need be.

    Raises:
        ConfigError: there is no such model.
        MissingExtra: the hub's library is not installed.
        NotHere: it is not on this machine.
    """
    path = models.folder(model) or Path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ConfigError(f"{str(path)!r} does not contain a model: config.json is missing")
        return path
    asked = online()  # says, too, if the hub's library is missing
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        found = within(
            LONG,
            lambda: snapshot_download(
                model,
                allow_patterns=list(SMALL),
                etag_timeout=hub.SECONDS,
                local_files_only=not asked,
            ),
        )
    except HFValidationError as error:
        names = ", ".join(models.names())
        raise ConfigError(
            f"{model!r} is not an embedded model ({names}), an existing folder, or a hub id"
        ) from error
    except StartError:
        raise
    except Exception as error:  # a boundary: the hub, its cache and the network raise many kinds
        raise _failed(model, error, asked) from error
    if not (Path(found) / "config.json").is_file():
        raise NotHere(f"{model} is incomplete in the hub's cache: config.json is missing")
    return Path(found)


def first_row(path: str, subset: str | None, split: str, revision: str) -> dict[str, Any]:
    """The first row of a data set of the hub.

    Raises:
        ConfigError: the hub does not have it, or not for this account.
        MissingExtra: the library that reads it is not installed.
        NotHere: the hub cannot be asked.
    """
    return _first(
        path, lambda load, rest: load(path, subset, split=split, revision=revision, **rest)
    )


def first_row_of_file(path: str, revision: str, file: str) -> dict[str, Any]:
    """The first row of one file of it; the same errors."""
    kind = Path(file).suffix.removeprefix(".").replace("jsonl", "json")
    at = f"hf://datasets/{path}@{revision}/{file}"
    return _first(path, lambda load, rest: load(kind, data_files=[at], split="train", **rest))


def _first(path: str, load: Callable[[Any, dict[str, bool]], Any]) -> dict[str, Any]:
    asked = online()
    if not asked and not offline():
        raise NotHere("the hub cannot be reached; set HF_HUB_OFFLINE=1 to use its cache")
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtra(f"the data set {path}", "eval") from error

    def first() -> dict[str, Any]:  # what is in the cache has been made into a table already
        return dict(next(iter(load(load_dataset, {"streaming": True} if asked else {}))))

    try:
        return within(LONG, first)
    except StartError:
        raise
    except Exception as error:  # a boundary: the hub, its cache and its files raise a dozen kinds
        raise _failed(path, error, asked) from error


def _failed(name: str, error: Exception, asked: bool) -> StartError:
    if not asked:
        return NotHere("not on this machine, and the hub cannot be reached")
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConfigError(f"the hub does not give {name}: {reason}")
