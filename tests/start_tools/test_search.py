"""The search tool: what it reads, what it finds, and what no query can do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from start_tools.search import PASSAGE, Search

from start_sdk import AfterConnective, BeforeEnd, ConfigError, Toolbox, plugins
from start_sdk.testing import check_tool

DOCUMENTS = {
    "coast.md": "The ferry to Hiddensee leaves Stralsund at nine.\n\nIt does not take cars.",
    "inland.md": "Trains leave every hour. Ferries do not.",
    "food.md": "Crêpes are eaten warm.",
}


@pytest.fixture(scope="module")
def search() -> Iterator[Search]:
    with Search(DOCUMENTS) as search:
        yield search


def titles(found: list[dict[str, Any]]) -> list[str]:
    return [hit["title"] for hit in found]


def test_the_best_passage_comes_first(search: Search) -> None:
    found = search("when does the ferry to Hiddensee leave")
    assert titles(found) == ["coast.md", "inland.md"]
    assert found[0].keys() == {"title", "part", "score", "text"}
    assert found[0]["text"] == DOCUMENTS["coast.md"] and found[0]["part"] == 1
    assert found[0]["score"] > found[1]["score"]


@pytest.mark.parametrize(
    ("query", "title"),
    [("FERRIES", "coast.md"), ("crepe", "food.md"), ("train", "inland.md"), ("coast", "coast.md")],
)
def test_case_endings_accents_and_titles(search: Search, query: str, title: str) -> None:
    assert title in titles(search(query))


def test_the_limit_bounds_the_number_of_results(search: Search) -> None:
    assert len(search("leave ferry", 1)) == 1 and len(search("leave ferry")) == 2


@pytest.mark.parametrize("query", ["", "  ", "?!", "nowhere", '"', "NEAR(", "a" * 50_000])
def test_nothing_found_is_an_empty_list(search: Search, query: str) -> None:
    assert search(query) == []


@pytest.mark.parametrize(
    "query", ['ferry" OR "', "ferry AND", "NOT ferry", "title:ferry", "ferry*", "-ferry", "(ferry"]
)
def test_operators_are_words(search: Search, query: str) -> None:
    assert "coast.md" in titles(search(query))


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_query(query: str) -> None:
    with Search(DOCUMENTS) as search:
        assert isinstance(search(query), list)


def test_long_documents_are_cut_into_passages_and_nothing_is_lost() -> None:
    words = [f"word{i}" for i in range(2000)]
    text = "\n\n".join(" ".join(words[i : i + 700]) for i in range(0, 2000, 700)) + "\n\nthe end"
    with Search({"long": text, "solid": "x" * 2500}) as search:
        found = [hit for word in words[::100] for hit in search(word, 50)]
        solid = search("x" * 500, 50) + search("x" * 1000, 50)
    assert all(len(hit["text"]) <= PASSAGE for hit in found)
    assert all(any(word in hit["text"].split() for hit in found) for word in words[::100])
    assert {len(hit["text"]) for hit in solid} == {500, 1000}


async def test_it_meets_the_contract_and_checks_its_arguments(search: Search) -> None:
    assert [c for c in await check_tool(search, {"query": "ferry"}) if not c.ok] == []
    done = await Toolbox([search]).call("search", '{"query": "ferry", "limit": 51}')
    assert done.message.endswith("argument limit should be less than or equal to 50, not 51")


async def test_searches_can_run_concurrently(search: Search) -> None:
    box = Toolbox([search])
    done = await asyncio.gather(*[box.call("search", '{"query": "ferry"}') for _ in range(50)])
    assert {call.error for call in done} == {None} and len({str(c.result) for c in done}) == 1


async def test_a_closed_search_reports_it() -> None:
    search = Search(DOCUMENTS)
    search.close()
    assert (await Toolbox([search]).call("search", '{"query": "a"}')).message.endswith("closed")


def test_its_repr_depends_on_its_documents(search: Search) -> None:
    with Search(DOCUMENTS) as same, Search({"a": "b"}) as other:
        assert repr(same) == repr(search) != repr(other)


def test_its_hints_fit_the_policies(search: Search) -> None:
    assert BeforeEnd(hints=search.hints) and AfterConnective(hints=search.hints)
    assert [hint.text.endswith("```python") for hint in search.hints] == [True, True]


def test_a_folder_is_read_except_for_files_that_are_not_text(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / "a.txt").write_text("alpha shared", encoding="utf-8")
    (tmp_path / "b.md").write_text("beta shared", encoding="utf-8")
    (tmp_path / ".git" / "c").write_text("gamma shared", encoding="utf-8")
    (tmp_path / ".hidden").write_text("gamma shared", encoding="utf-8")
    (tmp_path / "d.bin").write_bytes(b"\xff\xfe shared")
    (tmp_path / "e.bin").write_bytes(b"\0 shared")
    (tmp_path / "link.txt").symlink_to(tmp_path / "b.md")
    with Search.over(tmp_path) as search:
        assert sorted(titles(search("shared"))) == ["b.md", "sub/a.txt"]
    with Search.over(tmp_path / "b.md") as search:
        assert titles(search("shared")) == ["b.md"]


def test_what_cannot_be_searched_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder or file '/no/such/place'"):
        Search.over("/no/such/place")
    with pytest.raises(ConfigError, match="there is no text in"):
        Search.over(tmp_path)
    with pytest.raises(ConfigError, match="there is no text to search in"):
        Search({"a": " \n "})


def test_it_is_found_by_its_name() -> None:
    assert plugins.load("tools", "search") == Search.over
