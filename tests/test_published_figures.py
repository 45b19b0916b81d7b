"""Tables of measurements in the documentation are those of files in the repository."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DOCS, RESULTS = ROOT / "docs", ROOT / "benchmarks" / "results"


def result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def section(page: str, heading: str) -> str:
    """A section of a page, up to the next heading of its level or above."""
    text = (DOCS / page).read_text(encoding="utf-8")
    level = len(heading) - len(heading.lstrip("#"))
    start = text.index(f"{heading}\n")
    end = re.search(rf"^#{{1,{level}}} ", text[start + level :], re.MULTILINE)
    return text[start : start + level + end.start()] if end else text[start:]


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of all tables in a text, without their heads."""
    found = re.findall(r"^\|(?![-: |]+\|$)(.*)\|$(?!\n\|[-: |]+\|$)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in found]


def test_what_the_python_tool_costs() -> None:
    kernel, soak = result("kernel"), result("soak")

    def against(name: str, peer: str) -> str:
        return f"{kernel[name] / kernel[peer]:.2f}"

    def more(run: str, *what: str) -> str:
        return ", ".join(
            f"{soak[f'{run}: {name} more than at first']['value']:.1f}" for name in what
        )

    things = ("descriptors", "tasks", "processes")
    expected = [
        against("pool: first reply", "cold: first reply"),
        against("pool: first reply", "python -c pass"),
        against("fresh fork: first reply", "cold: first reply"),
        against("ours: 1+1", "cold: 1+1"),
        against("ours: 200 lines", "cold: 200 lines"),
        against("ours: 50 at once", "cold: 50 at once"),
        f"{kernel['ours: MB of one of them']:.1f}",
        str(max(soak[f"2,000 cells: {name} more than at first"]["value"] for name in things)),
        more("2,000 cells", "MB", "kernel's MB"),
        str(max(soak[f"1,000 opens: {name} more than at first"]["value"] for name in things)),
        more("1,000 opens", "MB"),
        f"{soak['kill -9: seconds until nothing is left']['value']:.2f}",
    ]
    assert [row[1] for row in rows(section("python-tool.md", "## Tests and costs"))] == expected


def test_what_sessions_cost_the_transformers_backend() -> None:
    greedy, sampled = result("batch")["rows"]
    names = ("generate", "sessions", "with calls", "continuous batching")
    expected = [
        [f"{row['tokens_per_second'][name]:,}" if name in row["tokens_per_second"] else ""
         for row in (greedy, sampled)]
        for name in names
    ]  # fmt: skip
    text = section("backends.md", "### What it costs")
    assert [row[1:] for row in rows(text)] == expected
    said = [greedy["ratio"]["sessions / generate"], sampled["ratio"]["sessions / generate"]]
    assert f"Sessions reach {said[0]:.2f} and {said[1]:.2f} times" in " ".join(text.split())


@pytest.mark.parametrize(("page", "heading"), [("servers.md", "## Figures")])
def test_what_sessions_cost_vllm(page: str, heading: str) -> None:
    ratio = {row["way"]: row["ratio"] for row in result("throughput")["rows"]}
    speed = {row["way"]: row["tokens_per_second"] for row in result("throughput")["rows"]}
    text = section(page, heading)
    assert (
        f"| {ratio['sessions']:.2f} of its tokens per second: {speed['sessions']:,} of {speed['raw']:,}"
        in text
    )
    assert f"| {ratio['lock-step']:.2f} |" in text
    agreement, engines = result("agreement")["smollm2"]["rows"], result("engines")
    reference, here, there = agreement
    assert f"{reference['tokens']:,} tokens, {reference['calls']} calls" in text
    assert f"in the program: {here['equal']} equal; vLLM's server: {there['equal']} equal" in text
    for found in engines.values():
        of = found["tokens_per_second"]
        assert re.search(rf"{found['ratio']:.3f}\b.*{of['sessions']} of {of['alone']}", text)
    assert f"| {ratio['sessions, kernels']:.2f} and {ratio['lock-step, kernels']:.2f} |" in text


def test_what_attention_on_a_processor_costs() -> None:
    found = [
        [
            f"{row['rows']} {'row' if row['rows'] == 1 else 'rows'}, {row['dtype']}",
            *(f"{row[name]:,}" for name in ("tokens", "torch's ms", "ours ms", "times as fast")),
        ]
        for row in result("attention")["rows"]
    ]
    assert rows(section("backends.md", "### One running batch")) == found


def unpacked(name: str, folder: Path) -> Path:
    """The rows of a run, without its traces."""
    pytest.importorskip("statsmodels")
    with tarfile.open(DOCS / "results" / f"{name}.tar.xz") as packed:
        packed.extractall(folder / name, filter="data")
    return folder / name


def title(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def compared(folder: Path, against: str) -> list[list[str]]:
    """The rows of a table of `recipes.compare`."""
    from recipes.compare import arms, markdown
    from start_sdk.batch import read_rows
    from start_sdk.batch.scoring import grouped, results

    return rows(markdown(arms(grouped(results(read_rows(folder)), "policy"), against).items()))


def test_the_matrix_of_hints(tmp_path: Path) -> None:
    found = compared(unpacked("matrix", tmp_path), "none")
    assert len(found) == 21
    assert found == rows(section("hints.md", "### What a hint rescues and breaks"))


def test_a_hint_against_other_words_and_none(tmp_path: Path) -> None:
    found = compared(unpacked("controls", tmp_path), "none")
    assert len(found) == 3
    assert found == rows(section("hints.md", "### What the words of a hint do"))


def test_what_was_seen_on_a_gpu() -> None:
    found = result("cuda")
    text = section("integrations.md", "## The transformers backend on CUDA")
    (name, seen, _), (_, fits, _), (_, tests, _), (_, fork, _), (_, splices, _) = rows(text)
    parity, together = found["parity"], found["one too many"][0]
    assert name.startswith(f"{parity['traces']} greedy traces")
    assert f"{parity['equal']} of {parity['traces']}" in seen and f"{parity['tokens']:,}" in seen
    assert together["long_row"] == "done" and f"{together['others_equal']} are those" in fits
    assert f"{found['tests of the backend']['passed']} of 60" in tests
    assert fork.startswith(str(found["fork"]["ratio"]))
    assert splices.startswith(", ".join(map(str, found["splice"]["ratio"].values())))


def test_the_comparison_of_policies(tmp_path: Path) -> None:
    folder = unpacked("policies", tmp_path)
    found = [*compared(folder, "end"), *compared(folder, "none")]
    assert len(found) == 20
    assert found == rows(section("hints.md", "### Policies against the paper's"))


def test_what_check_backend_found_on_six_backends() -> None:
    names = ("transformers", "vllm", "vllm-server", "llamacpp", "text-only", "chat-only")
    files = [DOCS / "results" / "check-backend" / f"{name}.json" for name in names]
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def speed(text: str, which: int) -> str:
        numbers = re.match(r"([\d,]+) tokens/s alone, ([\d,]+)", text)
        return numbers[which] if numbers else ""  # characters, of a server of ours

    expected = [[name, *(each[name] for each in found)] for name in ("format", "context")]
    for which, name in enumerate(("tokens/s alone", "tokens/s, 8 at once"), 1):
        expected.append([name, *(speed(each["speed"], which) for each in found)])
    for checks in zip(*(each["checks"] for each in found), strict=True):
        marks = ["✓" if c["ok"] else "✗" if c["required"] else "·" for c in checks]
        expected.append([checks[0]["name"], *marks])
    published = rows(section("servers.md", "## What a missing property costs"))
    assert published[: len(expected)] == expected


@pytest.mark.slow
def test_the_tables_of_the_miniatures_chain(tmp_path: Path) -> None:
    folder = unpacked("tiny-0", tmp_path)
    from recipes.config import read_config
    from recipes.reproduce.report import markdown
    from recipes.reproduce.results import collect

    text = markdown(collect([(read_config(folder / "config.json"), folder)]))
    measured, goals = section("reproduce.md", "## On the miniature").split("### Goals and results")
    assert rows(measured) == rows(text)
    for interval in re.findall(r"[+-]?[\d.]+ \[[^]]+\]", goals):
        assert interval in text


@pytest.mark.slow
def test_the_tables_of_the_chain_on_a_public_model() -> None:
    folder = DOCS / "results" / "smollm2"
    from recipes.config import read_config
    from recipes.reproduce.report import markdown
    from recipes.reproduce.results import collect

    text = markdown(collect([(read_config(folder / "config.json"), folder)]))
    measured = section("reproduce.md", "## On a public model: results")
    measured, goals = measured.split("### Goals, and what came of them")
    assert rows(measured) == rows(text)
    for interval in re.findall(r"[+-]?[\d.]+ \[[^]]+\]", goals):
        assert interval in text


def test_the_curves_of_test_time_scaling(tmp_path: Path) -> None:
    folder = unpacked("tts", tmp_path)
    from recipes.tts import curves, markdown
    from start_sdk.batch import read_rows
    from start_sdk.batch.scoring import results

    found = title(folder, "tts")
    found["curves"] = curves(results(read_rows(folder)), found["rounds"])
    text = section("hints.md", "### Rounds, and what else the tokens could buy")
    assert len(rows(text)) == 5 and rows(text) == rows(markdown(found))
    votes = found["curves"]["none"][-1]["steps"]
    assert f"{votes:.1f} thoughts on average" in text


def test_another_draw_of_the_public_problems(tmp_path: Path) -> None:
    folder = unpacked("smollm2-again", tmp_path)
    from recipes.config import read_config
    from recipes.markup import shown
    from start_sdk.batch import read_rows
    from start_sdk.batch.scoring import by_part, gain, results, shared

    kept = set(read_config(DOCS.parent / "recipes" / "configs" / "smollm2.toml").evaluation.kept)
    found = {
        name: results(read_rows(folder / name))
        for name in ("shipped-1009", "base-3001", "start-3001")
    }
    families = {sample.family for sample in found["base-3001"]}
    groups = {"trained on": families - kept, "kept": kept, "all": families}
    text = section("reproduce.md", "## On a public model: another draw")
    scores = [by_part(samples, groups) for samples in found.values()]
    table = [[shown(parts[group]["pass@1"]) for group in groups] for parts in scores]
    assert [row[2:] for row in rows(text)] == table
    before, after = found["base-3001"], found["start-3001"]
    for some in (families, kept):
        points = gain(*shared(before, after, some))
        assert "{value:+.1f} [{low:+.1f}, {high:+.1f}]".format(**points) in text
