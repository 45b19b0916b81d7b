"""Suites: from local files of the hub's shape, and what is said when they are not right."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from recipes import suites
from recipes.tiny.families import CODE, MATH
from start_sdk import ConfigError
from start_sdk.batch import read_json_lines

ROWS = [
    {"id": 7, "problem": "What is 2 + 2?", "answer": "4", "url": "left alone"},
    {"id": 8, "problem": "What is 3 + 3?", "answer": 6},
]


def jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    """A file with a row per line."""
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def test_files_have_any_of_the_suites_columns(tmp_path: Path) -> None:
    found = suites.load(str(jsonl(tmp_path / "a.jsonl", ROWS)))
    assert [(p.id, p.question, p.gold) for p in found] == [
        ("7", "What is 2 + 2?", "4"),
        ("8", "What is 3 + 3?", "6"),
    ]
    gpqa: dict[str, object] = {"Record ID": "r1", "Question": "Which?", "Correct Answer": "x"}
    gpqa |= {f"Incorrect Answer {i}": f"w{i}" for i in (1, 2, 3)}
    (one,) = suites.load(str(jsonl(tmp_path / "b.jsonl", [gpqa])))
    assert (one.id, one.gold, one.distractors) == ("r1", "x", ("w1", "w2", "w3"))
    (of,) = suites.load(str(jsonl(tmp_path / "d.jsonl", [gpqa | {"High-level domain": "Physics"}])))
    assert of.family == "Physics"  # a row of the report
    (plain,) = suites.load(str(jsonl(tmp_path / "c.jsonl", [{"question": "?", "answer": "1"}])))
    assert plain.id == "0"


def test_parquet_reads_like_jsonl(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{**r, "answer": str(r["answer"])} for r in ROWS]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert suites.load(str(tmp_path / "a.parquet")) == suites.load(
        str(jsonl(tmp_path / "a.jsonl", ROWS))
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no problems"),
        ("not json\n", "line 1: not JSON"),
        ('{"problem": "?", "answer": "1"}\n[1]\n', "line 2: not a JSON object"),
        ('{"problem": "?"}\n', "row 1: no answer or Correct Answer; it has problem"),
        ('{"id": 1, "problem": "?", "answer": "1"}\n' * 2, "row 2: the id '1' is not unique"),
    ],
)
def test_bad_files_are_named_with_the_place(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.jsonl") as caught:
        suites.load(str(path))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_is_read_as_solve_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    text = '{"id": "a", "problem": "a\u2028b\u0085c", "answer": "4"}\r\n\n{"problem": "?", "answer": 5}'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = suites.load(str(path))
    assert [(p.question, p.gold) for p in found] == [("a\u2028b\u0085c", "4"), ("?", "5")]


@pytest.mark.parametrize(
    "line",
    [
        b'{"problem": "x", "answer": "6", "n": %s}' % (b"7" * 5_000),
        '{"problem": "café", "answer": "6"}'.encode("latin-1"),
        b'{"problem": "x", "answer": "6", "n": %s%s}' % (b"[" * 100_000, b"]" * 100_000),
        b'{"problem": "x", "answer": NaN}',
        b'{"problem": "\\ud800", "answer": "6"}',
        b"\x1f\x8b\x08",
    ],
    ids=["5,000 digits", "Latin-1", "too deep", "NaN", "half a character", "gzip"],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"problem": "?", "answer": "1"}\n' + line + b"\n")
    with pytest.raises(ConfigError, match=r"rows\.jsonl', line 2: "):
        suites.load(str(path))
    with pytest.raises(ConfigError, match=r"rows\.jsonl', line 2: "):
        list(read_json_lines(path))


def test_an_unknown_suite_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="tiny, aime24, aime25, amc23, math500, gpqa"):
        suites.load("aime99")


def test_a_suite_of_the_hub_is_loaded_and_its_size_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "repository"
    folder.mkdir()
    jsonl(folder / "test.jsonl", [{**r, "answer": str(r["answer"])} for r in ROWS])
    local = replace(suites.SUITES["math500"], path=str(folder))
    monkeypatch.setitem(suites.SUITES, "math500", replace(local, size=2))
    assert [p.gold for p in suites.load("math500")] == ["4", "6"]
    monkeypatch.setitem(suites.SUITES, "math500", local)
    with pytest.raises(ConfigError, match="has 2 problems, not 500"):
        suites.load("math500")
    monkeypatch.setitem(suites.SUITES, "math500", replace(local, path=str(tmp_path / "nothing")))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        suites.load("math500")


def test_revisions_are_pinned_and_sizes_are_the_papers() -> None:
    assert {name: suite.size for name, suite in suites.SUITES.items()} == {
        "aime24": 30, "aime25": 30, "amc23": 40, "math500": 500, "gpqa": 198,
    }  # fmt: skip
    assert all(len(suite.revision) == 40 for suite in suites.SUITES.values())


def test_tiny_problems_are_held_out_and_code_has_tests() -> None:
    found = suites.tiny((MATH[0], CODE[0]), 3, seed=4)
    assert [p.family for p in found] == [MATH[0].name] * 3 + [CODE[0].name] * 3
    assert len({p.id for p in found}) == 6
    assert all(bool(p.tests) == p.family.startswith("code-") for p in found)
    assert found == suites.tiny((MATH[0], CODE[0]), 3, seed=4)
