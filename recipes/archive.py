"""Keeps what a table stands on: `python -m recipes.archive runs/tiny-0 --out tiny-0.tar.xz`.

Of a folder of rows, or of a whole run in stages, this keeps the rows (as rows.jsonl), reports,
configs and the logs of trainings. Of each trace, only how it ended and its token counts are kept,
so that the archive is small enough for a repository. The programs that write reports read the
unpacked archive like the folder. Where the folder was is left out, so that equal contents give
equal bytes. The tables of the documentation stand on those in docs/results.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

from recipes.command import CommandLine, program
from start_sdk import ConfigError
from start_sdk.batch import Row, read_rows
from start_sdk.cli import say

KEPT = ("finish", "usage")
"""What stays of a trace."""


def archive(folder: Path, out: Path) -> None:
    """Writes the archive.

    Raises:
        ConfigError: the folder contains no rows, or the archive cannot be written.
    """
    stores = ("rows.sqlite", "rows.jsonl")
    rows = {path.with_name("rows.jsonl") for store in stores for path in folder.rglob(store)}
    if not rows:
        raise ConfigError(f"{str(folder)!r} contains no rows")
    try:
        with tarfile.open(out, "w:xz", preset=9) as packed:
            for path in sorted({*rows, *folder.rglob("*.json"), *folder.rglob("train.jsonl")}):
                inside = path.relative_to(folder)
                if "model" in inside.parts or "checkpoint" in str(inside):
                    continue
                content = _rows(path.parent) if path in rows else path.read_bytes()
                content = content.replace(os.fsencode(folder.absolute()), folder.name.encode())
                member = tarfile.TarInfo(str(inside))
                member.size = len(content)
                packed.addfile(member, io.BytesIO(content))
    except OSError as error:
        raise ConfigError(f"cannot write {str(out)!r}: {error.strerror}") from error
    say(f"{out}: {out.stat().st_size / 1024:,.0f} KiB")


def _rows(folder: Path) -> bytes:
    return "".join(f"{json.dumps(_light(row))}\n" for row in read_rows(folder)).encode("ascii")


def _light(row: Row) -> dict[str, Any]:
    """A row whose trace is reduced to `KEPT`."""
    if row.result and isinstance(trace := row.result.get("trace"), dict):
        row.result["trace"] = {name: trace[name] for name in KEPT if name in trace}
    return row.as_dict()


def main() -> int:
    """Archives a folder; 2 for bad input."""
    parser = CommandLine(prog="python -m recipes.archive", description=__doc__)
    parser.add_argument("folder", type=Path, help="a run's folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the archive")
    options = parser.parse_args()
    return program(parser, lambda: archive(options.folder, options.out))


if __name__ == "__main__":
    sys.exit(main())
