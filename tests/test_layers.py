"""The shape of the code: imports run one way, the core is light, files stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import start_sdk

ROOT = Path(start_sdk.__file__).parent.parent
HEAVY = {
    *("torch", "transformers", "vllm", "openai", "jupyter_client", "zmq", "trl", "datasets"),
    "start_tools",
}

# A module may import from its own layer and from those below it.
LAYERS = [
    {"errors", "trace", "protocols", "verify"},
    {"dialect", "plugins", "hints", "limits", "repetition", "threads", "tools"},
    {"context", "cost", "toolbox", "cells", "setup", "hinting", "run", "session", "scaling"},
    {"backends", "models", "sync", "terminal", "testing", "start_tools"},
    {"grading", "rows", "store", "batch", "progress", "solve"},
    {"cli", "doctor", "options", "steering"},
    {"recipes"},
]


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return {"start_sdk": parts[1], "tools": "start_tools", "recipes": "recipes"}[parts[0]]


def imported(path: Path) -> set[str]:
    """Names of the modules of this project that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "start_sdk":
            found |= {f"start_sdk.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    names = {n.split(".")[1] if n.startswith("start_sdk.") else n.split(".")[0] for n in found}
    return names & set().union(*LAYERS)


def sources() -> list[Path]:
    files = [
        p for folder in ("start_sdk", "tools", "recipes") for p in (ROOT / folder).rglob("*.py")
    ]
    return [p for p in files if p != ROOT / "start_sdk" / "__init__.py"]


def test_imports_run_one_way() -> None:
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    upward = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        for name in imported(path)
        if level[name] > level[module(path)]
    ]
    assert upward == []


def test_the_session_names_no_backend_interpreter_or_policy() -> None:
    for name in ("session", "run", "context", "cells"):
        assert not imported(ROOT / "start_sdk" / f"{name}.py") & {
            "backends",
            "start_tools",
            "hints",
        }


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    code = f"import sys, start_sdk; print(sorted({HEAVY!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_files_can_be_read_in_one_go() -> None:
    long = {
        str(p.relative_to(ROOT)): n
        for p in sources()
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


def test_the_public_names_are_these() -> None:
    assert set(start_sdk.__all__) == {
        "AfterConnective", "Backend", "BackendError", "BeforeEnd", "CallRecord", "Capabilities",
        "CellResult", "Chunk", "ConfigError", "Delta", "Dialect", "FirstOf", "Hint", "HintLibrary",
        "HintPolicy", "HintRecord", "Interpreter", "InterpreterError", "Kernel", "Limits", "Message",
        "MissingExtra", "ModelError", "Moment", "NoHints", "PluginError", "PromptError",
        "ReasoningSession", "Run", "Sampling", "Segment", "Spot", "StartError", "SyncSession", "Tokenizer",
        "Trace", "Tool", "ToolCall", "ToolError", "ToolHost", "Toolbox", "TraceDrift", "Usage", "draw_spot",
        "find_spots", "last_spot", "open_backend", "tool", "verify_trace",
    }  # fmt: skip
    assert all(hasattr(start_sdk, name) for name in start_sdk.__all__)
