"""The shape of the code: rooms import one way, insides are private, the core is light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import start_sdk

ROOT = Path(start_sdk.__file__).parent.parent
HEAVY = {
    *("torch", "transformers", "vllm", "httpx2", "jupyter_client", "zmq", "trl", "datasets"),
    "start_tools",
}

# Rooms, lowest first: a module imports from its own row and from the rows above it here.
ROOMS = [
    {"start_sdk._text", "start_sdk._files", "start_sdk._printing"},
    {
        "start_sdk.errors",
        "start_sdk.values",
        "start_sdk.trace",
        "start_sdk.protocols",
        "start_sdk.plugins",
        "start_sdk.generation",
    },
    {"start_sdk.formats", "start_sdk.hints", "start_sdk.tools", "start_sdk._verify"},
    {"start_sdk._loop"},
    {"start_sdk.session", "start_sdk._sync", "start_sdk._opening"},
    {"start_sdk.models", "start_sdk.backends", "start_sdk.batch", "start_sdk.grading"},
    {"start_sdk.testing", "start_tools"},
    {"start_sdk.cli", "start_sdk.__main__"},
    {"recipes"},
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def sources() -> dict[str, Path]:
    """Every module of ours that is no test, by its dotted name."""
    found = {}
    for folder, base in (("start_sdk", ROOT), ("start_tools", ROOT / "tools"), ("recipes", ROOT)):
        for path in (base / folder).rglob("*.py"):
            name = ".".join(path.relative_to(base).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


SOURCES = sources()


def imported(name: str) -> Iterator[str]:
    """The modules of ours that a module imports, wherever in it, also for types only."""
    for node in ast.walk(ast.parse(SOURCES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in SOURCES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def ours(name: str) -> list[str]:
    return [other for other in imported(name) if other in SOURCES and other != name]


def room(name: str) -> str:
    return next(r for r in (".".join(name.split(".")[:2]), name.split(".")[0]) if r in LEVEL)


def test_imports_run_one_way() -> None:
    upward = []
    for name in SOURCES.keys() - {"start_sdk"}:
        for other in ours(name):
            outside = not name.startswith("start_sdk")
            if not (outside if other == "start_sdk" else LEVEL[room(other)] <= LEVEL[room(name)]):
                upward.append(f"{name} imports {other}")
    assert upward == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path, name))}"
        if name not in done:
            for other in ours(name):
                visit(other, (*path, name))
            done.add(name)

    for name in SOURCES:
        visit(name, ())


def test_what_is_inside_a_package_is_private_to_it() -> None:
    """A module with an underscore is imported by its own package alone; `_text` by the SDK."""
    faces = ("start_sdk.session", "start_sdk._sync")
    allowed = {"start_sdk._loop": ("start_sdk._loop", *faces)}
    trespassing = []
    for name in SOURCES:
        for other in ours(name):
            parts = other.split(".")
            private = next((i for i, part in enumerate(parts) if part.startswith("_")), None)
            if private is None:
                continue
            homes = allowed.get(".".join(parts[: private + 1]), (".".join(parts[:private]),))
            if not name.startswith(homes):
                trespassing.append(f"{name} imports {other}")
    assert trespassing == []


def test_the_loop_names_no_backend_interpreter_or_policy() -> None:
    loop = [name for name in SOURCES if name.startswith("start_sdk._loop")]
    rooms = {room(other) for name in (*loop, "start_sdk.session") for other in ours(name)}
    assert not rooms & {"start_sdk.backends", "start_sdk.hints", "start_tools"}


def test_the_front_of_the_sdk_is_small() -> None:
    front = {p.stem for p in (ROOT / "start_sdk").glob("*.py") if not p.stem.startswith("_")}
    assert front == {
        "errors",
        "generation",
        "plugins",
        "protocols",
        "session",
        "trace",
        "values",
    }


def test_public_modules_are_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    public = {
        name
        for name in SOURCES
        if name.startswith("start_sdk.") and not re.search(r"\._", name)
        if not name.startswith("start_sdk.cli.")  # a program, not an API
    }
    missing = {name for name in public if f"`{name}`" not in text and f"::: {name}." not in text}
    assert missing == set()


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    code = f"import sys, start_sdk; print(sorted({HEAVY!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_files_can_be_read_in_one_go() -> None:
    lines = {name: len(p.read_text("utf-8").splitlines()) for name, p in SOURCES.items()}
    assert {name: n for name, n in lines.items() if n > 300} == {}


def test_the_public_names_are_these() -> None:
    assert set(start_sdk.__all__) == {
        "AfterConnective", "Backend", "BackendError", "BeforeEnd", "CallRecord", "Capabilities",
        "CellResult", "Chunk", "ConfigError", "Delta", "FirstOf", "Hint", "HintContext",
        "HintLibrary", "HintPolicy", "HintRecord", "HintRefused", "InsertionPoint", "Interpreter",
        "InterpreterError", "Interrupted", "Kernel", "Limits", "Message", "MissingExtra", "ModelError", "NoHints",
        "PluginError", "PromptError", "ReasoningFormat", "ReasoningSession", "Run", "Sampling",
        "Segment", "StartError", "SyncSession", "Tokenizer", "Tool", "ToolCall", "ToolError",
        "ToolHost", "Toolbox", "Trace", "TraceDrift", "Usage", "draw_insertion_point",
        "find_insertion_points", "last_insertion_point", "open_backend", "tool", "verify_trace",
    }  # fmt: skip
    assert all(hasattr(start_sdk, name) for name in start_sdk.__all__)


def test_text_patterns_are_in_one_room() -> None:
    """Fences and LaTeX are recognised by the reader alone."""
    rooms = ("start_sdk._text", "start_sdk.grading", "start_sdk.hints", "start_sdk.testing")
    found = [
        name
        for name, path in SOURCES.items()
        if name.startswith("start_sdk.") and not name.startswith((*rooms, "start_sdk.formats"))
        if re.search(r"re\.compile\([^)]*(`{3}|`\{3|\\\\\[|\$\$)", path.read_text("utf-8"))
    ]
    assert found == []
