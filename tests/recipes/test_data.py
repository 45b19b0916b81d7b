"""The sources of training problems: local files with the hub's columns, and what is refused."""

import base64
import json
import os
import pickle
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recipes import data, suites
from recipes.command import assigned
from recipes.config import Config, read_config
from recipes.settings import Problems
from recipes.suites import CodeProblem
from recipes.tiny.families import KEPT_FROM_TRAINING
from recipes.tiny.world import split_of
from start_sdk import ConfigError

TESTS = [{"input": "1 2\n", "output": "3\n"}]
CODEFORCES: dict[str, Any] = {
    "id": "1/A", "title": "Sum", "description": "Add two numbers.", "input_format": "Two numbers.",
    "output_format": "Their sum.", "note": None, "examples": TESTS,
    "official_tests": [{"input": "5 6\n", "output": "11\n"}], "input_mode": "stdio",
    "interaction_format": None, "generated_checker": None,
}  # fmt: skip
CODE_CONTESTS: dict[str, Any] = {
    "name": "double", "description": "Double a number.", "source": 5, "input_file": "",
    "public_tests": {"input": ["2\n"], "output": ["4\n"]},
    "private_tests": {"input": ["3\n"], "output": ["6\n"]},
}  # fmt: skip
LIVECODEBENCH: dict[str, Any] = {
    "question_id": "9", "question_content": "Give the length.", "contest_date": "2024-06-30T00:00",
    "difficulty": "easy",
    "starter_code": "class Solution:\n    def size(self, a: List[int]) -> int:\n",
    "metadata": '{"func_name": "size"}',
    "public_test_cases": json.dumps([{"input": "[1, 2]", "output": "2", "testtype": "functional"}]),
    "private_test_cases": json.dumps([]),
}  # fmt: skip


def packed(value: object) -> str:
    """Hidden tests as LiveCodeBench keeps them."""
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_math_sources_have_questions_answers_and_dates(tmp_path: Path) -> None:
    aime = write(
        tmp_path / "aime.jsonl",
        {"ID": "2023-I-1", "Year": 2023, "Question": "How many?", "Answer": 7},
        {"ID": "2024-I-1", "Year": 2024, "Question": "Evaluated on.", "Answer": 8},
    )
    found = list(data.load("aime", aime))
    assert [(p.id, p.question, p.gold, p.family) for p in found] == [
        ("aime-2023-I-1", "How many?", "7", "aime")
    ]
    numina = write(
        tmp_path / "numina.jsonl",
        {"problem": "Two?", "solution": "It is $\\boxed{\\frac{1}{2}}$."},
        {"problem": "Prove it.", "solution": "Clear."},
        {"problem": "Two?", "solution": "The same question: \\boxed{2}."},
    )
    assert [(p.id, p.gold) for p in data.load("numina", numina)] == [("numina-1", "\\frac{1}{2}")]


def test_code_sources_have_shown_and_hidden_tests(tmp_path: Path) -> None:
    rows = [CODEFORCES, CODEFORCES | {"id": "1/B", "generated_checker": "import sys"}]
    rows += [CODEFORCES | {"id": "1/C", "interaction_format": "Ask."}]
    (one,) = data.load("codeforces", write(tmp_path / "cf.jsonl", *rows))
    assert isinstance(one, CodeProblem) and one.id == "codeforces-1/A"
    assert "Sum\n\nAdd two numbers.\n\nInput\nTwo numbers." in one.question
    assert "Example output\n3" in one.question and "Note" not in one.question
    assert one.samples == (("1 2\n", "3\n"),)
    assert one.cases == (("1 2\n", "3\n"), ("5 6\n", "11\n"))
    rows = [CODE_CONTESTS, CODE_CONTESTS | {"source": 2}, CODE_CONTESTS | {"input_file": "in.txt"}]
    (two,) = data.load("code_contests", write(tmp_path / "cc.jsonl", *rows))
    assert isinstance(two, CodeProblem) and two.cases == (("2\n", "4\n"), ("3\n", "6\n"))


def test_livecodebench_names_its_function_and_unpacks_its_tests(tmp_path: Path) -> None:
    hidden = packed(json.dumps([{"input": "[]", "output": "0"}]))
    rows = [
        LIVECODEBENCH | {"private_test_cases": hidden},
        LIVECODEBENCH | {"question_id": "10", "contest_date": "2024-07-01T00:00"},
    ]
    (one,) = data.load("livecodebench", write(tmp_path / "lcb.jsonl", *rows))
    assert isinstance(one, CodeProblem) and one.function == "Solution().size"
    assert one.cases == (("[1, 2]", "2"), ("[]", "0")) and one.starter in one.question


def test_tests_that_are_code_are_not_unpacked(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'done'}",)

    rows = LIVECODEBENCH | {"private_test_cases": packed(Evil())}
    with pytest.raises(ConfigError, match="its pickle refers to"):
        list(data.load("livecodebench", write(tmp_path / "lcb.jsonl", rows)))
    assert not (tmp_path / "done").exists()


def test_tests_are_taken_as_long_as_there_is_room(tmp_path: Path) -> None:
    many = [{"input": str(i), "output": "x"} for i in range(100)]
    long = {"input": "c" * data.MAX_CHARS, "output": "d"}
    tests = {"1/A": many, "1/B": [*TESTS, long], "1/C": [long]}
    rows = [
        CODEFORCES | {"id": key, "title": key, "examples": None, "official_tests": some}
        for key, some in tests.items()
    ]
    found = list(data.load("codeforces", write(tmp_path / "cf.jsonl", *rows)))
    assert [(p.id, len(p.cases)) for p in found if isinstance(p, CodeProblem)] == [
        ("codeforces-1/A", data.MAX_CASES), ("codeforces-1/B", 1),
    ]  # fmt: skip


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "math.jsonl", {"problem": "?", "answer": "1"})
    with pytest.raises(ConfigError, match=r"math\.jsonl, row 1: no solution; it has problem, ans"):
        list(data.load("math", file))
    with pytest.raises(
        ConfigError, match="not a source of problems: tiny, reasoning_gym, aime, math"
    ):
        list(data.load("maths"))


def test_a_source_of_the_hub_is_checked_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    write(tmp_path / "train.jsonl", {"problem": "Two?", "solution": "\\boxed{2}", "level": 1})
    local = replace(suites.SOURCES["numina"], path=str(tmp_path))
    monkeypatch.setitem(suites.SOURCES, "numina", local)
    assert [p.gold for p in data.load("numina")] == ["2"]
    monkeypatch.setitem(suites.SOURCES, "numina", replace(local, columns=("problem", "proof")))
    with pytest.raises(ConfigError, match=r"cannot be loaded: .*proof"):
        list(data.load("numina"))
    monkeypatch.setitem(suites.SOURCES, "numina", replace(local, path=str(tmp_path / "nothing")))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        list(data.load("numina"))


def test_revisions_are_pinned_and_counts_are_the_papers() -> None:
    assert all(len(source.revision) == 40 for source in suites.SOURCES.values())
    assert sum(source.paper for source in suites.SOURCES.values()) == 46_969


def test_a_part_of_a_source_is_drawn_by_the_seed(tmp_path: Path) -> None:
    rows = [{"problem": f"Number {i}?", "solution": f"\\boxed{{{i}}}"} for i in range(20)]
    source = f"math={write(tmp_path / 'math.jsonl', *rows)}"

    def drawn(seed: int, take: int = 5) -> list[str]:
        problems = Problems(sources=(source,), take={"math": take})
        return [
            p.gold for p in data.training_problems(Config(base="x", seed=seed, problems=problems))
        ]

    assert drawn(1) == drawn(1) and drawn(1) != drawn(2)
    assert len(drawn(1)) == 5 and len(drawn(1, take=50)) == 20


def test_the_miniatures_problems_are_those_it_may_be_trained_on() -> None:
    config = Config(
        base="x", problems=Problems(sources=("tiny",), families="all", take={"tiny": 4})
    )
    found = data.training_problems(config)
    families = {p.family for p in found}
    assert not families & KEPT_FROM_TRAINING and len(families) == 11 and len(found) == 44
    assert all("-train-0-" in p.id for p in found)
    assert split_of("products", (0,)) in ("train", "validation", "test")
    with pytest.raises(ConfigError, match=r"problems\.take\.tiny"):
        data.training_problems(Config(base="x"))


def test_a_config_is_read_checked_and_changed(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('base = "m"\n[training]\nepochs = 2\n', encoding="utf-8")
    changes = ["training.epochs=3", "backend=vllm", 'problems.sources=["math"]']
    config = read_config(file, dict(map(assigned, changes)))
    assert (config.training.epochs, config.backend, config.problems.sources) == (
        3,
        "vllm",
        ("math",),
    )
    for change, says in {
        "training.epoch=1": "epoch",
        "training.batch=0": "batch",
        "base.x=1": "base is not a table",
    }.items():
        with pytest.raises(ConfigError, match=says) as caught:
            read_config(file, dict([assigned(change)]))
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot read the config"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cannot read the config .*'list' object"):
        read_config(tmp_path / "list.json")
