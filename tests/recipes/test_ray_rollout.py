"""Rollouts over a real local Ray: the keys, traces and verdicts of this process, and its resume."""

import builtins
import json
import shutil
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
from openai_server import FakeServer
from ray.exceptions import RayTaskError

from recipes import ray_rollout
from recipes.config import Config
from recipes.ray_worker import Parts, Turns, options_of
from recipes.rollout import rollout
from recipes.rows import read_rows
from recipes.settings import Cluster, RolloutConfig
from recipes.suites import Problem, tiny
from recipes.tiny.families import MATH
from start_sdk import ConfigError, Limits, MissingExtra, models
from start_sdk.batch import Row, RowStore, fingerprint

# Ray's own, at its start and end, and in its threads.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Tip.*:UserWarning"),
]
ENDLESS = Problem("endless", "What is 2 times 3? " * 500, "6")
PROBLEMS = [*tiny((MATH[9], MATH[11]), 2, 3, "train"), ENDLESS]
STAGED = RolloutConfig(hints=("end:general",))
LOCAL = Config(
    base="start-tiny-base",
    backend_options={"deterministic": True, "max_batch": 2},
    prompt="plain",
    seed=3,
    max_concurrency=2,
    limits=Limits(max_tokens=300, max_repeats=4, answer_reserve=64),
)
REMOTE = LOCAL.model_copy(update={"engine": "ray"})


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One Ray for all tests; each run would start one of its own."""
    ray.init(
        "local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this process makes of the problems: without hints, and with one in those thoughts."""
    folder = tmp_path_factory.mktemp("local")
    rollout(LOCAL, folder / "plain", RolloutConfig(), problems=PROBLEMS)
    rollout(LOCAL, folder / "staged", STAGED, problems=PROBLEMS, after=folder / "plain")
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that Ray was asked to compute."""
    real, keys = ray_rollout.computed, list[str]()

    def counted(*args: Any) -> Iterator[str]:
        keys.extend(job.key for job in args[4])
        return real(*args)

    monkeypatch.setattr(ray_rollout, "computed", counted)
    return keys


def outcome(row: Row) -> Any:
    """What has to be the same, whoever computed it."""
    if row.result is None:
        return row.error
    segments = [(s["source"], s["token_ids"]) for s in row.result["trace"]["segments"]]
    return row.result["correct"], row.result["answer"], row.result["calls"], segments


def outcomes(folder: Path) -> dict[str, Any]:
    return {row.job.key: outcome(row) for row in read_rows(folder)}


def test_keys_traces_and_verdicts_are_those_of_this_process(
    local: Path, tmp_path: Path, asked: list[str]
) -> None:
    first, *others = read_rows(local / "plain")
    Parts(tmp_path / "plain" / "parts").add(first)  # as a run that was stopped leaves it
    plain = rollout(REMOTE, tmp_path / "plain", RolloutConfig(), problems=PROBLEMS)
    assert outcomes(tmp_path / "plain") == outcomes(local / "plain")
    assert asked == [row.job.key for row in others]
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
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    real = ray_rollout.found

    def stopped(*args: Any) -> Iterator[str]:
        yield next(real(*args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(ray_rollout, "found", stopped)
        rollout(REMOTE, tmp_path, RolloutConfig(), problems=PROBLEMS)
    with RowStore(tmp_path / "rows.sqlite") as store:
        counts = store.counts()
    assert counts["todo"] == 4 and counts["done"] + counts["failed"] == 1
    assert len(outcomes(tmp_path)) == 1  # also of a run that was stopped
    rollout(LOCAL, tmp_path, RolloutConfig(), problems=PROBLEMS)
    assert outcomes(tmp_path) == outcomes(local / "plain")
    asked.clear()
    rollout(REMOTE, tmp_path, RolloutConfig(), problems=PROBLEMS)
    assert asked == [] and not (tmp_path / "parts").exists()


def test_rows_that_were_written_and_not_taken_in_are_used(
    local: Path, tmp_path: Path, asked: list[str]
) -> None:
    rows = list(read_rows(local / "plain"))
    parts = Parts(tmp_path / "parts")
    for row in rows:
        parts.add(row)
    rollout(REMOTE, tmp_path, RolloutConfig(), problems=PROBLEMS)
    assert asked == []
    assert outcomes(tmp_path) == outcomes(local / "plain")
    assert not (tmp_path / "parts").exists()


def test_half_a_row_is_none(local: Path, tmp_path: Path) -> None:
    first, second = list(read_rows(local / "plain"))[:2]
    keys = [first.job.key, second.job.key]
    parts = Parts(tmp_path / "parts")
    parts.add(second)
    name = f"{fingerprint(first.job.key)}.parquet"
    (tmp_path / "parts" / name).touch()  # what a loss of power can leave
    (tmp_path / "parts" / f".{name}.7").touch()  # what a writer that was killed leaves
    assert parts.written(keys) == keys[1:] and parts.read(second.job) == second
    with pytest.raises(ConfigError, match="disk that all machines share"):
        parts.read(first.job)
    parts.remove(keys)
    assert not (tmp_path / "parts").exists()


def test_a_bug_ends_the_run_and_rows_of_its_task_stay(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.setattr(ray_rollout, "MAX_TASKS", 1)  # nothing comes back before all is computed
    config = REMOTE.model_copy(update={"max_concurrency": 1})
    bug = Problem("bug", PROBLEMS[0].question, None)  # type: ignore[arg-type]
    with pytest.raises(RayTaskError, match="NoneType"):
        rollout(config, tmp_path, RolloutConfig(), problems=[*PROBLEMS[:2], bug])
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert store.counts() == {"todo": 3}
    asked.clear()
    rollout(config, tmp_path, RolloutConfig(), problems=PROBLEMS[:2])
    assert asked == []
    keys = [row.job.key for row in read_rows(local / "plain")]
    assert outcomes(tmp_path) == {key: outcomes(local / "plain")[key] for key in keys[:2]}


def test_a_server_gives_what_it_gives_to_this_process(
    tmp_path: Path,
) -> None:
    with FakeServer(length=40) as server:
        served = {
            "base": "tiny",
            "backend": "openai",
            "backend_options": {},
            "servers": (server.url,),
            "cluster": Cluster(),
        }
        here, there = (config.model_copy(update=served) for config in (LOCAL, REMOTE))
        rollout(here, tmp_path / "here", RolloutConfig(), problems=PROBLEMS[:2])
        rollout(there, tmp_path / "there", RolloutConfig(), problems=PROBLEMS[:2])
    assert outcomes(tmp_path / "there") == outcomes(tmp_path / "here")
    assert all(row.result for row in read_rows(tmp_path / "there"))


def test_servers_are_given_to_the_actors_in_turn() -> None:
    turns: Any = ray.remote(Turns).options(num_cpus=0).remote()
    numbers: list[int] = [ray.get(turns.take.remote()) for _ in range(3)]
    config = REMOTE.model_copy(update={"servers": ("a", "b")})
    assert [options_of(config, n)["base_url"] for n in numbers] == ["a", "b", "a"]


def test_an_actor_that_cannot_work_ends_the_run_and_says_why(tmp_path: Path) -> None:
    known = models.folder("start-tiny-base")
    assert known
    shutil.copytree(known, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ConfigError, match=r"^ModelError: "):
        rollout(
            REMOTE, tmp_path, RolloutConfig(), model=str(tmp_path / "model"), problems=PROBLEMS[:2]
        )
    with RowStore(tmp_path / "rows.sqlite") as store:
        assert store.counts() == {"todo": 2}


@pytest.mark.parametrize(
    ("backend", "servers", "cluster", "says"),
    [
        ("transformers", ["http://a/v1"], Cluster(), "backend=server"),
        ("openai", ["http://a/v1", "http://b/v1"], Cluster(), "without an actor"),
        ("openai", ["http://127.0.0.1:9/v1"], Cluster(), r"127\.0\.0\.1:9"),
        ("transformers", [], Cluster(gpus=1), "gpus=1: Ray finds 0"),
        ("transformers", [], Cluster(address="127.0.0.1:9"), "no Ray cluster at '127.0.0.1:9'"),
        ("transformers", [], Cluster(address="nowhere"), "no Ray cluster at 'nowhere'"),
    ],
)
def test_a_cluster_that_cannot_be_used_is_one_line(
    backend: str,
    servers: list[str],
    cluster: Cluster,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if cluster.address:  # as in a program that has not started Ray yet
        monkeypatch.setattr(ray, "is_initialized", lambda: False)
    options: dict[str, Any] = {} if backend == "openai" else LOCAL.backend_options
    update = {"backend": backend, "backend_options": options, "cluster": cluster}
    update["servers"] = tuple(servers)
    with pytest.raises(ConfigError, match=says) as caught:
        rollout(REMOTE.model_copy(update=update), tmp_path, RolloutConfig(), problems=PROBLEMS[:1])
    assert "\n" not in str(caught.value)


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
        rollout(REMOTE, tmp_path / "out", RolloutConfig(), problems=PROBLEMS[:1])
    assert not (tmp_path / "out").exists()
