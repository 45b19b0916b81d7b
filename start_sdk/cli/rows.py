"""`start-sdk rows`: prints the finished rows of a folder as JSON Lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from start_sdk._printing import say
from start_sdk.batch import read_rows
from start_sdk.cli._common import one_line_errors


@one_line_errors
def rows(
    folder: Annotated[
        Path, typer.Argument(help="The folder of a run, or its rows.sqlite or rows.jsonl.")
    ],
) -> None:
    """Print the rows of a run that are done or failed, one JSON object per line."""
    for row in read_rows(folder):
        # A terminal would be sent DEL, the one control character that JSON leaves as it is.
        say(json.dumps(row.as_dict()).replace("\x7f", "\\u007f"))
