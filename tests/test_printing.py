"""Whatever is printed goes through one place, which lets no text control the terminal."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import start_sdk

ROOT = Path(start_sdk.__file__).parent.parent
HOMES = {
    "start_sdk/_printing.py",
    "recipes/command.py",
    "recipes/tiny/pretrain.py",  # runs without start_sdk, and prints numbers of its own
}
PRINTS = {"print", "Console", "ArgumentParser", "echo", "secho", "from_markup"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
TITLES = {"title", "subtitle"}


def programs() -> Iterator[tuple[str, ast.Module]]:
    """The modules of all that prints, by path; cells in strings are no calls."""
    for folder in ("start_sdk/cli", "start_sdk/batch", "start_sdk/_text", "recipes"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in HOMES:
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def name_of(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def around(call: ast.Call) -> bool:
    """Whether a call prints, or makes what prints, without the terminal of `_text`."""
    match call.func:
        case ast.Name(id=name):
            return name in PRINTS
        case ast.Attribute(attr="write" | "writelines", value=ast.Attribute(attr=stream)):
            return stream in STREAMS
        case ast.Attribute(attr="write" | "writelines", value=ast.Name(id=stream)):
            return stream in STREAMS
        case ast.Attribute(attr="exit", value=ast.Name(id="sys")):  # a text is printed
            return any(isinstance(code, ast.JoinedStr) for code in call.args)
        case ast.Attribute(attr=name):
            return name in PRINTS - {"print"}  # `print` of a terminal
    return False


def test_all_that_prints_uses_the_terminal() -> None:
    found = [
        f"{name}:{node.lineno} {ast.unparse(node.func)}"
        for name, tree in programs()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and around(node)
    ]
    assert found == []


def test_titles_of_panels_are_no_markup() -> None:
    """A panel reads markup in a title that is a string, whatever its console says."""
    found = [
        f"{name}:{node.lineno}"
        for name, tree in programs()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and name_of(node) == "Panel"
        for option in node.keywords
        if option.arg in TITLES and not isinstance(option.value, ast.Constant)
        if not (isinstance(option.value, ast.Call) and name_of(option.value) == "styled")
    ]
    assert found == []
