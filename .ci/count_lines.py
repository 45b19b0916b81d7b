"""Counts lines of code: no blank lines, comments or docstrings.

    python .ci/count_lines.py [FOLDER]

Prints the count of each room (a folder inside `start_sdk`, `recipes` or `tools/start_tools`, else a
top-level folder), then of the core and of the recipes without the miniature, then of everything.
Every Python file counts that git tracks or does not ignore.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
SPLIT = ("tools/start_tools", "start_sdk", "recipes")
"""Folders that are counted by subfolder."""
NOT_CORE = {"backends", "batch", "cli", "export", "grading", "models", "server", "testing"}
"""Packages of `start_sdk` that do not belong to the core."""
IGNORED = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def count(source: str) -> int:
    """Lines of a module that hold code; a string that is a statement of its own is a docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in IGNORED:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def room(path: str) -> str:
    """The room that a file, relative to the root, is counted in."""
    for folder in SPLIT:
        if path.startswith(f"{folder}/"):
            inner, _, rest = path.removeprefix(f"{folder}/").partition("/")
            return f"{folder}/{inner}" if rest else folder
    return path.partition("/")[0]


def python_files(root: Path) -> list[str]:
    """Python files that git tracks or does not ignore, relative to the root."""
    command = ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [path for path in sorted(set(listed.splitlines())) if (root / path).is_file()]


def in_core(name: str) -> bool:
    top, _, package = name.partition("/")
    return top == "start_sdk" and package not in NOT_CORE


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    rooms: Counter[str] = Counter()
    for path in python_files(root):
        rooms[room(path)] += count((root / path).read_text(encoding="utf-8"))
    recipes = [n for n in rooms if n.partition("/")[0] == "recipes" and n != "recipes/tiny"]
    totals = {
        "core: start_sdk without " + ", ".join(sorted(NOT_CORE)): sum(
            rooms[name] for name in rooms if in_core(name)
        ),
        "recipes without tiny": sum(rooms[name] for name in recipes),
        "total": rooms.total(),
    }
    for name in sorted(rooms):
        print(f"{rooms[name]:7,}  {name}")
    print()
    for name, lines in totals.items():
        print(f"{lines:7,}  {name}")


if __name__ == "__main__":
    main()
