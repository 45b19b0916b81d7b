"""The table of model families in the docs is what `start-sdk check-model` finds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from families import FAMILIES, family
from families_more import MORE

from start_sdk.backends.tokenizer import load_tokenizer
from start_sdk.cli.check_model import rows
from start_sdk.formats import FormatReport, check_format

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"
COLUMNS = (
    *("format", "its thought begins", "its thought ends with", "line breaks after the prompt"),
    *("thoughts of earlier turns", "a system message", "the question", "control text"),
)
REAL = "SmolLM2-135M-Instruct"


def section() -> str:
    _, found, below = PAGE.read_text(encoding="utf-8").partition("\n## Model families\n")
    assert found
    return re.split(r"^## ", below, maxsplit=1, flags=re.MULTILINE)[0]


def table_row(name: str, report: FormatReport) -> str:
    values = rows(report)
    for end in report.ends:
        values["its thought ends with"] = values["its thought ends with"].replace(end, f"`{end}`")
    return f"| {name} | {' | '.join(values[column] for column in COLUMNS)} |"


def test_the_rows_of_the_fixtures_and_the_miniature_are_what_is_found() -> None:
    tiny = check_format(load_tokenizer("start-tiny"))
    assert check_format(load_tokenizer("start-tiny-base")) == tiny
    reports = {"`start-tiny`": tiny, REAL: check_format(family("smollm2"))}
    reports |= {name: check_format(family(name)) for name in (*FAMILIES, *MORE)}
    header = [f"| model | {' | '.join(COLUMNS)} |", f"|{'---|' * (len(COLUMNS) + 1)}"]
    expected = [*header, *(table_row(name, report) for name, report in reports.items())]
    shown = [line for line in section().split("\n") if line.startswith("|")]
    assert shown == expected, "\n" + "\n".join(expected)


@pytest.mark.parametrize("name", ["gpt-oss", "gemma", "content-parts"])
def test_what_will_not_work_is_said(name: str) -> None:
    (problem,) = check_format(family(name)).problems
    assert f"- {name}: {problem}" in " ".join(section().split())
