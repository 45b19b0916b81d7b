"""The hint library: reads and validates library.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from start_sdk.errors import ConfigError
from start_sdk.protocols import Hint
from start_sdk.trace import Position
from start_sdk.values import Settings


class HintLibrary(Settings):
    """Hints, and the words of each language after which they may be inserted.

    Attributes:
        hints: all hints, in file order.
        connectives: language -> the words after which a hint may be inserted.
    """

    hints: tuple[Hint, ...]
    connectives: dict[str, tuple[str, ...]]

    @staticmethod
    def load(path: str | Path | None = None) -> HintLibrary:
        """Reads a library; without a path, the one shipped with the package.

        Raises:
            ConfigError: the file cannot be read, is not TOML, or contains invalid hints.
        """
        return _shipped() if path is None else _read(Path(path))

    def get(self, hint_id: str) -> Hint:
        """Returns the hint with an id; raises ConfigError if there is none."""
        for hint in self.hints:
            if hint.id == hint_id:
                return hint
        raise ConfigError(f"no hint {hint_id!r}; available: {', '.join(h.id for h in self.hints)}")

    def select(
        self, *, domain: str | None = None, lang: str = "en", position: Position | None = None
    ) -> tuple[Hint, ...]:
        """Returns the hints of a language, optionally of one domain and position; may be empty."""
        return tuple(
            h
            for h in self.hints
            if h.lang == lang
            and (domain is None or h.domain == domain)
            and (position is None or position in h.positions)
        )

    def __iter__(self) -> Iterator[Hint]:  # type: ignore[override]  # pydantic's yields fields
        return iter(self.hints)


@cache
def _shipped() -> HintLibrary:
    return _read(Path(__file__).with_name("library.toml"))


def _read(path: Path) -> HintLibrary:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"the hint library {str(path)!r} cannot be read: {error}") from error
    rows, openings = data.get("hint", []), data.get("openings", {})
    if not isinstance(rows, list):
        raise ConfigError(f"the hint library {str(path)!r}: write hints as [[hint]] tables")
    try:
        hints = [Hint(**{"opening": openings.get(r.get("lang", "en"), ""), **r}) for r in rows]
        library = HintLibrary(hints=tuple(hints), connectives=data.get("connectives", {}))
    except ConfigError as error:
        raise ConfigError(f"the hint library {str(path)!r}: {error}") from error
    ids = [h.id for h in library.hints]
    duplicates = sorted({i for i in ids if ids.count(i) > 1})
    if duplicates:
        raise ConfigError(
            f"the hint library {str(path)!r} has duplicate ids: {', '.join(duplicates)}"
        )
    return library
