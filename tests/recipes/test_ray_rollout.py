"""Rollouts over a real local Ray: the keys, traces and verdicts of this process, and its resume."""

import builtins
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")
pytest.importorskip("torch")
pytest.importorskip("math_verify")
pytest.importorskip("pyarrow")

import pyarrow.parquet as pq
import ray

from recipes import ray_rollout
from recipes.config import Config
from recipes.experiment import read_rows
from recipes.rollout import rollout
from recipes.settings import Cluster, Rollout
from recipes.suites import Problem, tiny
from recipes.tiny.families import MATH
from start_sdk import ConfigError, Limits, MissingExtra
from start_sdk.rows import Row
from start_sdk.store import RowStore

# Ray's own, at its start and end, and in its threads.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Tip.*:UserWarning"),
]
ENDLESS = Problem("endless", "What is 2 times 3? " * 500, "6")
PROBLEMS = [*tiny((MATH[9], MATH[11]), 2, 3, "train"), ENDLESS]
STAGED = Rollout(hints=("end:general",))
LOCAL = Config(
    base="start-tiny-base",
    backend_options={"deterministic": True, "max_batch": 2},
    prompt="plain",
    seed=3,
    at_once=2,
    limits=Limits(max_tokens=300, max_repeats=4, answer_reserve=64),
)
REMOTE = LOCAL.model_copy(update={"engine": "ray"})


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One Ray for all tests; each run would start one of its own."""
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this process makes of the problems: without hints, and with one in those thoughts."""
    folder = tmp_path_factory.mktemp("local")
    rollout(LOCAL, folder / "plain", Rollout(), problems=PROBLEMS)
    rollout(LOCAL, folder / "staged", STAGED, problems=PROBLEMS, after=folder / "plain")
    return folder


def outcome(row: Row) -> Any:
    """What has to be the same, whoever computed it."""
    if row.result is None:
        return row.error
    segments = [(s["source"], s["token_ids"]) for s in row.result["trace"]["segments"]]
    return row.result["correct"], row.result["answer"], row.result["calls"], segments


def outcomes(folder: Path) -> dict[str, Any]:
    return {row.job.key: outcome(row) for row in read_rows(folder)}


def test_keys_traces_and_verdicts_are_those_of_this_process(local: Path, tmp_path: Path) -> None:
    plain = rollout(REMOTE, tmp_path / "plain", Rollout(), problems=PROBLEMS)
    assert outcomes(tmp_path / "plain") == outcomes(local / "plain")
    assert (plain["none"]["samples"], plain["none"]["failed"]) == (5, 1)
    (error,) = {row.error for row in read_rows(tmp_path / "plain") if row.error}
    assert error.startswith("PromptError: ")
    after = tmp_path / "plain"
    staged = rollout(REMOTE, tmp_path / "staged", STAGED, problems=PROBLEMS, after=after)
    assert outcomes(tmp_path / "staged") == outcomes(local / "staged")
    assert staged["end:general"]["with calls"] > 0
    table = pq.read_table(tmp_path / "staged" / "rows.parquet").to_pylist()
    lines = (tmp_path / "staged" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    for packed, line in zip(table, lines, strict=True):
        row = json.loads(line)
        assert packed["problem"] == row["problem"] and packed["error"] == row["error"]
        assert (packed["result"] and json.loads(packed["result"])) == row["result"]


def test_what_one_engine_began_the_other_ends(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = ray_rollout.results, []

    def stopped(*args: Any) -> Iterator[Any]:
        asked.append(args)
        yield next(row for row in real(*args) if row[1] is not None)
        raise KeyboardInterrupt

    monkeypatch.setattr(ray_rollout, "results", stopped)
    with pytest.raises(KeyboardInterrupt):
        rollout(REMOTE, tmp_path, Rollout(), problems=PROBLEMS)
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert store.counts() == {"done": 1, "todo": 4}
    assert len(outcomes(tmp_path)) == 1  # also of a run that was stopped
    rollout(LOCAL, tmp_path, Rollout(), problems=PROBLEMS)
    assert outcomes(tmp_path) == outcomes(local / "plain")
    rollout(REMOTE, tmp_path, Rollout(), problems=PROBLEMS)
    assert len(asked) == 1  # nothing is left, and no Ray is asked


def test_servers_are_given_to_the_actors_in_turn() -> None:
    turns: Any = ray.remote(ray_rollout.Turns).options(num_cpus=0).remote()
    numbers: list[int] = [ray.get(turns.take.remote()) for _ in range(3)]
    assert numbers == [0, 1, 2]


def test_a_server_that_is_not_there_ends_the_run_with_its_name(tmp_path: Path) -> None:
    nowhere = Cluster(servers=("http://127.0.0.1:9/v1",))
    config = REMOTE.model_copy(update={"backend": "openai", "cluster": nowhere})
    with pytest.raises(ConfigError, match=r"ModelError: .*127\.0\.0\.1:9"):
        rollout(config, tmp_path, Rollout(), problems=PROBLEMS[:1])


def test_without_ray_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match=r"start-sdk\[ray\]"):
        rollout(REMOTE, tmp_path, Rollout(), problems=PROBLEMS[:1])
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert store.counts() == {"todo": 1}
