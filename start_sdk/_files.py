"""Files that are written whole or not at all: an interruption leaves what was there before."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yields a temporary path, which replaces `path`, or a link there, once it is written."""
    # A name that nobody can guess: what is there already may be a link to another file.
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str) -> None:
    """Writes a text file. A link is followed; a device or a pipe is only written to."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    with replaced(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
