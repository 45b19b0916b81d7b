"""Wrong calls of the Python API: each gets one typed line that says what was expected."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from start_tools.python import PythonTool

from start_sdk import (
    BeforeEnd,
    ConfigError,
    Hint,
    HintRefused,
    InsertionPoint,
    Limits,
    MissingExtra,
    PromptError,
    ReasoningSession,
    Sampling,
    StartError,
    SyncSession,
    Trace,
    TraceDrift,
    tool,
    verify_trace,
)
from start_sdk.testing import FakeInterpreter, ScriptedBackend

Options = dict[str, Any]


def undecorated(city: str) -> str:
    """The weather."""
    return city


class Untriggered:
    triggers = None

    def decide(self, context: object) -> None: ...


@tool
def weather(city: str) -> str:
    """The weather."""
    return city


MADE: list[tuple[Options, str]] = [
    ({"model": None}, "model: expected a backend or a model's name, not None"),
    ({"model": ScriptedBackend}, "not the class ScriptedBackend: create one"),
    ({"model": "start-tiny", "backend": "transformer"}, "no backend is named 'transformer'"),
    ({"model": "start-tiny", "backend": 5}, "backend must be a str, not 5"),
    ({"backend": "vllm"}, "backend='vllm' runs a model by its name; this model is open already"),
    ({"interpreter": PythonTool}, "not the class PythonTool: create one with PythonTool()"),
    ({"interpreter": "pyton"}, "no interpreter is named 'pyton'; installed: python"),
    ({"interpreter": 5}, 'interpreter: expected an interpreter or a name such as "python"'),
    ({"hints": 5}, 'hints: expected a policy or a name such as "end", not 5'),
    ({"hints": "ends"}, "no hint is named 'ends'; installed:"),
    ({"hints": BeforeEnd}, "not the class BeforeEnd: create one with BeforeEnd()"),
    ({"hints": BeforeEnd(), "interpreter": None}, "hint 'general' opens a block of code"),
    ({"hints": Untriggered()}, "hints: the triggers of a policy are texts, not None"),
    ({"tools": [undecorated]}, "undecorated is a plain function: decorate it with @start_sdk.tool"),
    ({"tools": "search"}, "tools must be a list of tools, not 'search'"),
    ({"tools": ["search"]}, "tools: expected a tool or made with @start_sdk.tool, not 'search'"),
    ({"tools": [weather], "interpreter": None}, "pass an interpreter too"),
    ({"tools": [weather, weather]}, "two tools are named 'weather'"),
    ({"files": ["a.csv"]}, "files must be a dict of names and contents"),
    ({"files": {"../a.csv": b""}}, "files: '../a.csv' is not a file name without folders"),
    ({"files": {"a\0b": b""}}, "is not a file name without folders"),
    ({"files": {"\udc80": b""}}, "is not a file name without folders"),
    ({"files": {"a" * 300: b""}}, "is not a file name without folders"),
    ({"files": {"a.csv": "a\0b"}}, "files: 'a.csv': cannot read"),
    ({"files": {"a.csv": 5}}, "files: 'a.csv' must be a path or bytes, not 5"),
    ({"files": {"a.csv": "missing.csv"}}, "cannot read 'missing.csv': No such file"),
    ({"limits": {"max_tokens": 5}}, "limits must be a Limits, not {'max_tokens': 5}"),
    ({"sampling": 0.6}, "sampling must be a Sampling, not 0.6"),
    ({"format": "think"}, "format must be a ReasoningFormat, not 'think'"),
    ({"conclude": " "}, 'conclude must be "auto", "always", "never" or a text'),
    ({"conclude": "allways"}, "conclude='allways': did you mean 'always'?"),
    ({"conclude": True}, "conclude must be a str, not True"),
    ({"system": ["Be brief."]}, "system must be a str"),
    ({"system": ""}, "system is empty"),
    ({"template": "thinking"}, "template must be a dict"),
    ({"template": {"enable_thinking": True}}, "template: there is no chat template with"),
    ({"template": {"x": b""}}, "template must be JSON, finite"),
    ({"keep_state": "yes"}, "keep_state must be a bool, not 'yes'"),
]


@pytest.mark.parametrize(("options", "message"), MADE, ids=[m for _, m in MADE])
@pytest.mark.parametrize("kind", [ReasoningSession, SyncSession])
def test_a_session_that_cannot_be_made(kind: Any, options: Options, message: str) -> None:
    defaults: Options = {"model": ScriptedBackend([]), "interpreter": FakeInterpreter()}
    with pytest.raises(ConfigError) as error:
        kind(**{**defaults, **options})
    assert message in str(error.value) and "\n" not in str(error.value)


TRACE = Trace(segments=(), finish="eos")
VALUES: list[tuple[Callable[[], Any], str]] = [
    (lambda: Limits(max_tokens=0), "max_tokens=0: Input should be greater than 0"),
    (
        lambda: Limits(max_token=5),  # type: ignore[call-arg]
        "max_token=5: there is no such setting; did you mean 'max_tokens'?",
    ),
    (lambda: Sampling(extra={"x": float("nan")}), "extra.x.float=nan: Input should be"),
    (lambda: Sampling(temperature=-1), "temperature=-1: Input should be"),
    (lambda: Sampling(top_k=0.5), "top_k=0.5: Input should be"),  # type: ignore[arg-type]
    (lambda: Sampling(min_p=2), "min_p=2: Input should be"),
    (lambda: Sampling(repetition_penalty=0), "repetition_penalty=0: Input should be"),
    (lambda: Trace.load("missing.json"), "cannot read the trace 'missing.json': No such file"),
    (lambda: Trace.load(__file__), "is no trace"),
    (lambda: TRACE.save("missing/trace.json"), "cannot write the trace 'missing/trace.json'"),
]


@pytest.mark.parametrize(("make", "message"), VALUES, ids=[m for _, m in VALUES])
def test_a_value_that_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert message in str(error.value) and "\n" not in str(error.value)


def say(role: Any, content: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": content}]


PROMPTS: list[tuple[Any, str]] = [
    ("", "the prompt is empty"),
    (" \n", "the prompt is empty"),
    (None, "a prompt is a text or a list of messages, not None"),
    ([], "the prompt is empty"),
    (b"What?", "a message is a dict with role and content, not 87"),
    ({"role": "user", "content": "What?"}, "a prompt is a text or a list of messages"),
    (["What?"], "a message is a dict with role and content, not 'What?'"),
    ([{"role": "user"}], "a message is a dict with role and content"),
    (say("robot", "What?"), "a message's role is one of system, user, assistant"),
    (say(None, "What?"), "a message's role is one of"),
    (say("user", None), "a message's content is a text or a list of text parts, not None"),
    (say("user", [{"type": "image_url", "image_url": "x"}]), "only text parts can be read"),
    (say("user", ["What?"]), "only text parts can be read in a message's content, not 'What?'"),
    (say("user", []), "the prompt is empty"),
]


@pytest.mark.parametrize(("prompt", "message"), PROMPTS, ids=[m for _, m in PROMPTS])
def test_a_prompt_that_is_refused(prompt: Any, message: str) -> None:
    session = ReasoningSession(ScriptedBackend([]))
    with pytest.raises(PromptError) as error:
        session.stream(prompt)
    assert message in str(error.value) and "\n" not in str(error.value)


POINT = InsertionPoint(at=1, position="end", trigger="")
HINT = Hint(id="x", text="So.", category="", domain="")
CALLS: list[tuple[Callable[[ReasoningSession], Awaitable[Any]], str]] = [
    (lambda s: s.run("?", seed="1"), "seed must be an int, not '1'"),  # type: ignore[arg-type]
    (lambda s: s.run("?", seed=-1), "seed=-1: must be 0 or more"),
    (lambda s: s.run_many("What?"), "prompts must be a list of prompts, not 'What?'"),
    (lambda s: s.run_many(["?"], n=0), "n=0: must be at least 1"),
    (lambda s: s.run_many(["?"], n=True), "n must be an int, not True"),
    (lambda s: s.run_many(["?"], max_concurrency=0), "max_concurrency=0: must be at least 1"),
    (lambda s: s.run_many(["?", ""]), "the prompt is empty"),
    (lambda s: s.resume({}, 3), "trace must be a Trace, not {}"),  # type: ignore[arg-type]
    (lambda s: s.resume(TRACE, "3"), "at must be an int, not '3'"),  # type: ignore[arg-type]
    (lambda s: s.resume(TRACE, 3), "at=3 is outside the trace"),
    (lambda s: s.resume_hinted(TRACE, 3, HINT), "point must be an InsertionPoint, not 3"),  # type: ignore[arg-type]
    (lambda s: s.resume_hinted(TRACE, POINT, "general"), "hint must be a Hint, not 'general'"),  # type: ignore[arg-type]
    (lambda s: s.resume_hinted(TRACE, POINT, HINT.model_copy(update={"text": "\n```python"})),
     "hint 'x' opens a block of code"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[m for _, m in CALLS])
async def test_a_call_that_is_refused(
    call: Callable[[ReasoningSession], Awaitable[Any]], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        await call(ReasoningSession(ScriptedBackend([])))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_steering_without_a_text_or_a_thought() -> None:
    session = ReasoningSession(ScriptedBackend([]))
    run = session.stream("?")
    for text in ("", None, 5):
        with pytest.raises(ConfigError, match="the text to steer with is empty"):
            run.steer(text)  # type: ignore[arg-type]
    run.cancel()
    with pytest.raises(ConfigError, match="the thought is over"):
        run.steer("Wait.")


def test_sampling_that_a_backend_cannot_obey() -> None:
    backend = ScriptedBackend([])
    backend.capabilities = type(backend.capabilities)("m", lacks=frozenset({"extra", "top_k"}))
    ReasoningSession(backend, sampling=Sampling(min_p=0.1))
    with pytest.raises(ConfigError, match=r"^m: its backend does not take top_k=5$"):
        ReasoningSession(backend, sampling=Sampling(top_k=5))


def test_errors_are_of_one_tree(tmp_path: Path) -> None:
    (tmp_path / "trace.json").write_text('{"segments": 5}', encoding="utf-8")
    with pytest.raises(StartError, match="is no trace"):
        Trace.load(tmp_path / "trace.json")


def test_help_shows_the_fields_and_not_pydantic() -> None:
    for kind in (Limits, Sampling):
        shown = [name for name in dir(kind) if not name.startswith("_")]
        assert not {"model_dump", "parse_obj", "model_validate"} & set(shown)
        about = inspect.getdoc(kind) or ""
        assert all(f"\n    {field}: " in about for field in kind.model_fields)


async def test_a_trace_of_another_tokenizer_is_not_resumed() -> None:
    session = ReasoningSession(ScriptedBackend(["so</think>4"]))
    trace = await session.run("?")
    prompt, *rest = trace.segments
    unknown = prompt.model_copy(update={"token_ids": (2**40,) * 9})
    others = trace.model_copy(update={"segments": (unknown, *rest), "model": "other"})
    with pytest.raises(ConfigError, match="written with the tokenizer of 'other'"):
        await session.resume(others, 9)
    with pytest.raises(TraceDrift, match="the tokenizer does not know its ids"):
        verify_trace(others, session.tokenizer)


def test_errors_survive_a_process_pool() -> None:
    for error in (HintRefused("x", "open block"), MissingExtra("grading", "grading")):
        copied = pickle.loads(pickle.dumps(error))
        assert (type(copied), str(copied)) == (type(error), str(error))
