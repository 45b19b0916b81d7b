"""`search`: a tool that lets code in a cell find passages in the user's documents.

    with Search.over("notes") as search:
        session = ReasoningSession(backend, interpreter=PythonTool(), tools=[search])

The index is an in-memory SQLite FTS5 table, ranked by BM25 (its `bm25`, k1 = 1.2, b = 0.75).
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

from pydantic import Field

from start_sdk.errors import ConfigError, ToolError
from start_sdk.protocols import Hint
from start_sdk.tools import FunctionTool

MAX_FILE = 10_000_000
"""Maximum size in bytes of a file; larger files are rarely text."""
PASSAGE = 1000
"""Maximum characters of a passage; it ends with a paragraph, unless the paragraph is longer."""
MAX_WORDS = 32
"""Number of words of a query that are used."""

HINTS = (
    Hint(
        id="search-look-up",
        text="I can look this up in the documents with search.\n```python",
        category="Look up",
        domain="documents",
        opening="Wait, ",
    ),
    Hint(
        id="search-again",
        text="let me search the documents again, with other words, to check this.\n```python",
        category="Look up again",
        domain="documents",
        opening="Wait, ",
    ),
)


class Search(FunctionTool[..., list[dict[str, Any]]]):
    """A full-text search over documents. It is a tool, and can also be called directly.

    It finds passages with any of the words of a query, best first; words are compared without case,
    accents and English endings. The documents are untrusted: a passage may be wrong, and it may
    have been written to influence the model.

    Args:
        documents: title -> text.

    Raises:
        ConfigError: the documents contain no text.
    """

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._digest = hashlib.blake2b(digest_size=8)
        self._lock = threading.Lock()  # calls come from separate threads
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        try:
            self._fill(documents)
        except BaseException as error:
            self._index.close()
            if isinstance(error, sqlite3.OperationalError):
                raise ConfigError(f"this Python's SQLite lacks FTS5: {error}") from error
            raise
        super().__init__(self._search, name="search", timeout=10.0, hints=HINTS)

    @classmethod
    def over(cls, path: str | Path) -> Self:
        """Indexes the text files below a folder, or one file. Titles are relative paths.

        Hidden files, links, files that are not UTF-8 and files above 10 MB are skipped.

        Raises:
            ConfigError: the path does not exist, cannot be read, or holds no text.
        """
        root = Path(path)
        if not root.exists():
            raise ConfigError(f"there is no folder or file {str(path)!r} to search in")
        try:
            texts = {title: text for title, text in _read(root) if text is not None}
        except OSError as error:
            raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
        if not any(text.strip() for text in texts.values()):
            raise ConfigError(f"there is no text in {str(path)!r} to search in")
        return cls(texts)

    def __repr__(self) -> str:
        return f"Search({self._digest.hexdigest()})"

    def close(self) -> None:
        """Releases the index."""
        with self._lock:
            self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def _fill(self, documents: Mapping[str, str]) -> None:
        self._index.execute(
            "CREATE VIRTUAL TABLE passages"
            " USING fts5(title, text, part UNINDEXED, tokenize = 'porter unicode61')"
        )
        with self._index:
            self._index.executemany(
                "INSERT INTO passages (title, part, text) VALUES (?, ?, ?)", self._rows(documents)
            )
        if not self._index.execute("SELECT 1 FROM passages LIMIT 1").fetchone():
            raise ConfigError("there is no text to search in")

    def _rows(self, documents: Mapping[str, str]) -> Iterator[tuple[str, int, str]]:
        for title, text in documents.items():
            for part, passage in enumerate(_passages(text), 1):
                self._digest.update(f"{title}\0{passage}\0".encode(errors="replace"))
                yield title, part, passage

    def _search(
        self, query: str, limit: Annotated[int, Field(ge=1, le=50)] = 5
    ) -> list[dict[str, Any]]:
        """Finds passages of the user's documents that have words of the query, the best first.

        Each is a dict with title, part (its number in the document), score (higher is better) and
        text. If nothing fits, the list is empty: try other words.
        """
        words = re.findall(r"\w+", query)[:MAX_WORDS]
        if not words:
            return []
        # Quoted, so that no word is an FTS5 operator.
        quoted = " OR ".join(f'"{word}"' for word in words)
        select = (
            "SELECT title, part, round(-bm25(passages), 6), text FROM passages"
            " WHERE passages MATCH ? ORDER BY rank, rowid LIMIT ?"
        )
        try:
            with self._lock:
                found = self._index.execute(select, (quoted, limit)).fetchall()
        except sqlite3.ProgrammingError:
            raise ToolError("the documents have been closed") from None
        return [dict(zip(("title", "part", "score", "text"), row, strict=True)) for row in found]


def _read(root: Path) -> Iterator[tuple[str, str | None]]:
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    for path in paths:
        title = path.name if path == root else path.relative_to(root).as_posix()
        hidden = any(part.startswith(".") for part in title.split("/"))
        if path == root or not (hidden or path.is_symlink() or path.stat().st_size > MAX_FILE):
            yield title, _text(path)


def _text(path: Path) -> str | None:
    """The content of a file; None if it is not text."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _passages(text: str) -> Iterator[str]:
    """Groups whole paragraphs into passages; longer paragraphs are split between words."""
    passage = ""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        for piece in re.findall(rf"(?s).{{1,{PASSAGE}}}(?:\s|$)|.{{{PASSAGE}}}", paragraph):
            if passage and len(passage) + len(piece) > PASSAGE:
                yield passage
                passage = ""
            passage = f"{passage}\n\n{piece.rstrip()}".strip("\n")
    if passage.strip():
        yield passage
