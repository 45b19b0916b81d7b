"""The pages: every example runs, and every command, option, default and name on them exists.

How a page is read:

- A `python` block is run. The blocks of a page share a namespace and an empty working folder, and
  may `await` at the top level; those of the README are copied one by one, so each runs in a
  namespace of its own and without a top-level `await`. What a block prints is compared with the
  `text` block right after it; without one it must print nothing. No block can be skipped.
- A block with a title (`toml title="hints.toml"`) is first written to a file of that name.
- A `console` block is run: each `$ start-sdk ...` is compared with the output after it, and so is
  `$ echo $?`.
- A `bash` block is checked: options of start-sdk, targets of make, our modules, extras.
"""

from __future__ import annotations

import ast
import asyncio
import hashlib
import importlib
import importlib.util
import inspect
import re
import shlex
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import pytest
import typer.main
from installing import install
from pydantic_core import PydanticUndefined
from start_tools.python import PythonTool
from typer.testing import CliRunner

import start_sdk
from recipes.command import FLAGS, TABLES
from recipes.settings import Curation, Evaluation, Grpo, Plan, RolloutConfig, Training
from start_sdk import AfterConnective, BeforeEnd, Limits, Sampling, errors, plugins
from start_sdk.cli import app
from start_sdk.grading.programs import ProgramLimits
from start_sdk.testing import ScriptedBackend, check_backend

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results"  # reports of runs, and what models wrote in them
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if RESULTS not in p.parents),
]
SHARED = {*FLAGS, *TABLES, "config", "set", "server", "out"}
"""Options of all programs that run a model."""
LANGUAGES = {"python", "text", "bash", "console", "toml", "json", "markdown"}
LIGHT = ("backends", "batch", "formats", "grading", "hints", "session", "testing", "tools")
"""Public modules of start_sdk that import without an extra and have an `__all__`."""
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Block:
    """A fenced block. Line `line` of its page is the first one of `body`."""

    page: Path
    line: int
    info: str
    body: str
    adjacent: bool
    """Only empty lines separate it from the block before it."""

    @property
    def language(self) -> str:
        return self.info.split(" ")[0]

    @property
    def title(self) -> str | None:
        match = re.fullmatch(r'\w+ title="([\w./-]+)"', self.info)
        return match[1] if match else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order; a longer fence may contain other fences."""
    found: list[Block] = []
    fence, info, start, adjacent = "", "", 0, False
    body: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), 1):
        if not fence:
            if match := re.match(r" *(`{3,})([^`]*)$", line):
                fence, info, start, body = match[1], match[2].strip(), number + 1, []
            elif line.strip():
                adjacent = False
        elif line.strip() == fence:
            text = textwrap.dedent("\n".join(body))
            found.append(Block(page, start, info, text, adjacent))
            fence, adjacent = "", True
        else:
            body.append(line)
    assert not fence, f"{page}:{start}: the block is not closed"
    return found


def run_block(block: Block, names: dict[str, Any], runner: asyncio.Runner) -> None:
    """Runs a block; a traceback names the line of the page."""
    source = "\n" * (block.line - 1) + block.body
    allowed = 0 if block.page == README else ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, str(block.page), "exec", allowed, dont_inherit=True)
    awaitable = eval(code, names)
    if inspect.iscoroutine(awaitable):
        runner.run(awaitable)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def having(language: str) -> list[Any]:
    """The pages with blocks of this language. Those that run an embedded model need torch."""
    found = []
    for page in PAGES:
        bodies = [b.body for b in blocks(page) if b.language == language]
        runs = language in ("python", "console") and any("start-tiny" in b for b in bodies)
        marks = [pytest.mark.torch] if runs else []
        if bodies:
            found.append(pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks))
    return found


@pytest.mark.parametrize("page", having("python"))
def test_examples_run_and_print_what_the_page_says(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shared: dict[str, Any] = {"__name__": "__main__"}
    found = blocks(page)
    with asyncio.Runner() as runner:
        for block, following in zip(found, [*found[1:], None], strict=True):
            write(block, tmp_path)
            if block.language != "python":
                continue
            run_block(block, {"__name__": "__main__"} if page == README else shared, runner)
            is_output = following and following.adjacent and following.language == "text"
            expected = following.body if following and is_output else ""
            printed = capsys.readouterr().out
            assert lines(printed) == lines(expected), f"{block}: printed\n{printed}"


def write(block: Block, folder: Path) -> None:
    if block.title:
        path = folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.body + "\n", encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_block_escapes_the_checks(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block}: {block.info!r} is not one of {LANGUAGES}"
        assert block.info == block.language or block.title, f"{block}: {block.info!r}"
        if block.language == "toml":
            tomllib.loads(block.body)


@pytest.mark.parametrize("page", having("console"))
def test_consoles_show_what_the_commands_print(page: Path) -> None:
    for block in blocks(page):
        if block.language != "console":
            continue
        status = None
        for session in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
            command, _, expected = session.partition("\n")
            if command == "echo $?":
                assert expected.strip() == str(status), f"{block}: {command}"
                continue
            program, *args = shlex.split(command)
            assert program == "start-sdk", f"{block}: only start-sdk is run here, not {program}"
            done = CliRunner().invoke(app, args)
            status = done.exit_code
            assert lines(done.output) == lines(expected), f"{block}: {command}"


def commands(block: Block) -> Iterator[list[str]]:
    """The simple commands of a shell block, as words."""
    for line in block.body.replace("\\\n", " ").split("\n"):
        words = list(shlex.shlex(line, posix=True, punctuation_chars="|&;<>"))
        command: list[str] = []
        for word in [*words, ";"]:
            if set(word) <= set("|&;<>"):
                if command:
                    yield command
                command = []
            elif command or not re.match(r"[A-Z_]+=", word):
                command.append(word)


def check_start_sdk(args: list[str]) -> None:
    if args and args != ["--help"]:
        assert args[0] in COMMANDS, f"there is no command {args[0]!r}"
        if args[-1] != "--help":
            COMMANDS[args[0]].make_context(args[0], args[1:])


def check_make(args: list[str]) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    unknown = [a for a in args if "=" not in a and a not in targets]
    assert not unknown, f"the Makefile has no target {unknown}"


def check_python(args: list[str]) -> None:
    """`python -m recipes.NAME --option ...`: the module exists and has the options."""
    if args[:1] != ["-m"] or args[1].partition(".")[0] not in ("recipes", "benchmarks"):
        return
    stem = ROOT.joinpath(*args[1].split("."))
    path = next((p for p in (stem.with_suffix(".py"), stem / "__main__.py") if p.is_file()), None)
    assert path, f"there is no module {args[1]}"
    source = with_imported(path)
    for option in (a.partition("=")[0] for a in args[2:] if a.startswith("--")):
        known = option == "--help" or f'"{option}"' in source
        known |= "command_line(" in source and option[2:] in SHARED
        assert known, f"{args[1]} has no option {option}"


def with_imported(path: Path) -> str:
    """The source of a recipe, and of the recipes that define its options."""
    source = path.read_text(encoding="utf-8")
    names = ", ".join(re.findall(r"^from recipes import (.+)$", source, re.MULTILINE)).split(", ")
    if re.search(r"^from recipes\.evaluate import .*\bcommand\b", source, re.MULTILINE):
        names.append("evaluate")
    others = [ROOT / "recipes" / f"{name}.py" for name in names if name]
    return source + "".join(with_imported(other) for other in others if other.is_file())


def check_pip(args: list[str]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    known = extras["project"]["optional-dependencies"]
    for found in re.findall(r"(?:start-sdk|\.)\[([\w,-]+)\]", " ".join(args)):
        assert set(found.split(",")) <= set(known), f"there is no extra {found!r}"


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "start-sdk": check_start_sdk,
    "make": check_make,
    "python": check_python,
    "pip": check_pip,
}


@pytest.mark.parametrize("page", having("bash"))
def test_shell_commands_exist(page: Path) -> None:
    for block in blocks(page):
        if block.language != "bash":
            continue
        for program, *args in commands(block):
            check = CHECKS.get(Path(program).name)
            try:
                if check:
                    check(args)
            except Exception as error:
                pytest.fail(f"{block}: {program} {shlex.join(args)}: {error}")


def test_the_readme_needs_no_active_environment() -> None:
    for block in blocks(README):
        for program, *_ in commands(block) if block.language == "bash" else ():
            assert "/" in program or program in ("make", "python3.11"), f"{block}: {program}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        text = text.replace(block.body, "")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def table(page: str, heading: str) -> dict[str, str]:
    """First and second column of the first table below a heading, without its header."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    _, found, below = text.partition(f"\n{heading}\n")
    assert found, f"{page} has no heading {heading!r}"
    below = re.split(r"^#", below, maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| *`([^`]+)` *\| *([^|]*?) *\|", below, re.MULTILINE)
    return {name: value.strip("`") for name, value in rows}


def options_of(name: str) -> dict[str, str]:
    options = [p for p in COMMANDS[name].params if p.param_type_name == "option"]
    return {
        p.opts[0]: "" if p.default is None or p.default is False else str(p.default)
        for p in options
    }


def fields_of(kind: Any) -> dict[str, str]:
    """The fields of a dataclass or a pydantic model, with their defaults."""
    if hasattr(kind, "model_fields"):
        return {name: shown(field.default) for name, field in kind.model_fields.items()}
    return {field.name: shown(field.default) for field in fields(kind)}


def keywords_of(function: Callable[..., Any]) -> dict[str, str]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: shown(p.default) for p in parameters if p.kind is p.KEYWORD_ONLY}


def shown(default: object) -> str:
    """A default as a table shows it."""
    if default in (MISSING, PydanticUndefined, inspect.Parameter.empty):
        return ""
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return str(default)


def transformers_options() -> dict[str, str]:
    return keywords_of(plugins.load("backends", "transformers"))


@pytest.mark.parametrize(
    ("page", "heading", "real"),
    [
        ("cli.md", "## start-sdk ask", lambda: options_of("ask")),
        ("cli.md", "## start-sdk solve", lambda: options_of("solve")),
        ("cli.md", "## start-sdk check-backend", lambda: options_of("check-backend")),
        ("cli.md", "## start-sdk check-model", lambda: options_of("check-model")),
        ("cli.md", "## start-sdk demo", lambda: options_of("demo")),
        ("cli.md", "## start-sdk doctor", lambda: options_of("doctor")),
        ("tutorial.md", "## Limits", lambda: fields_of(Limits)),
        ("tutorial.md", "## Seeds and sampling", lambda: fields_of(Sampling)),
        ("tutorial.md", "## What a session takes", lambda: keywords_of(start_sdk.ReasoningSession)),
        ("hints.md", "### BeforeEnd", lambda: fields_of(BeforeEnd)),
        ("hints.md", "### AfterConnective", lambda: fields_of(AfterConnective)),
        ("hint-rft.md", "## Rollouts", lambda: fields_of(RolloutConfig)),
        ("hint-rft.md", "## From traces to training data", lambda: fields_of(Curation)),
        ("hint-rft.md", "## Training", lambda: fields_of(Training)),
        ("reproduce.md", "## Evaluation", lambda: fields_of(Evaluation)),
        ("reproduce.md", "## What a run will take", lambda: fields_of(Plan)),
        ("grpo.md", "## Options", lambda: fields_of(Grpo)),
        ("python-tool.md", "## Settings", lambda: fields_of(PythonTool)),
        ("tools.md", "## Options", lambda: keywords_of(start_sdk.tool)),
        ("grading.md", "### Limits of a test", lambda: fields_of(ProgramLimits)),
        pytest.param(
            *("backends.md", "## transformers", transformers_options), marks=pytest.mark.torch
        ),
        ("servers.md", "## llama.cpp", lambda: keywords_of(plugins.load("backends", "llamacpp"))),
        ("servers.md", "## openai", lambda: keywords_of(plugins.load("backends", "openai"))),
    ],
)
def test_tables_of_options_match_the_code_with_its_defaults(
    page: str, heading: str, real: Callable[[], dict[str, str]]
) -> None:
    assert table(page, heading) == real()


def test_the_table_of_costs_matches_the_checks() -> None:
    checks = asyncio.run(check_backend(ScriptedBackend([])))
    below = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")
    _, below = below.split("\n## What a missing property costs\n")
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \| (.*) \|$", below, re.MULTILINE)
    assert rows == [(check.name, check.cost, check.helps) for check in checks]


def test_every_command_has_a_section() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^## start-sdk ([\w-]+)$", text, re.MULTILINE) == list(COMMANDS)


def test_the_tutorial_names_every_error() -> None:
    def below(kind: type[Exception]) -> set[str]:
        return {kind.__name__}.union(*map(below, kind.__subclasses__()))

    tree = {n for n in below(errors.StartError) if hasattr(errors, n)}
    assert set(table("tutorial.md", "## Errors")) == tree


def test_the_hints_page_names_every_hint() -> None:
    ids = {hint.id for hint in start_sdk.HintLibrary.load()}
    assert set(table("hints.md", "## The library")) == ids


def is_exported(path: str) -> bool:
    module, _, name = path.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except errors.MissingExtra:  # vLLM has its own environment
        spec = importlib.util.find_spec(module)
        assert spec and spec.origin
        return f'"{name}"' in Path(spec.origin).read_text(encoding="utf-8")


def test_the_reference_lists_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    public, _, internal = text.partition("\n## Internal names\n")
    paths = re.findall(r"^::: ([\w.]+)$", public, re.MULTILINE)
    assert [path for path in paths if not is_exported(path)] == []
    ours = {p.removeprefix("start_sdk.") for p in paths if p.count(".") == 1}
    assert ours == set(start_sdk.__all__)
    named = {*paths, *re.findall(r"`(start_sdk\.[\w.]+)`", internal)}
    missing = [
        f"start_sdk.{package}.{name}"
        for package in LIGHT
        for name in importlib.import_module(f"start_sdk.{package}").__all__
        if not {f"start_sdk.{package}.{name}", f"start_sdk.{name}"} & named
    ]
    assert missing == []


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = re.findall(r"^ +- .*?([\w-]+\.md)$", text, re.MULTILINE)
    assert sorted(named) == sorted(p.name for p in PAGES if p.parent.name == "docs")


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = re.search(r"^## \[([\d.]+)\] - (unreleased|\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    assert first and first[1] == start_sdk.__version__


def test_contributing_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n")) <= 150


def test_the_license_is_the_whole_apache_2() -> None:
    # The digest of https://www.apache.org/licenses/LICENSE-2.0.txt, appendix included.
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_packages_on_the_plugins_page_install_and_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    for block in blocks(ROOT / "docs" / "plugins.md"):
        write(block, source)
    projects = sorted(p.parent for p in source.rglob("pyproject.toml"))
    monkeypatch.syspath_prepend(str(install(site, *projects)))
    for project in projects:
        metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        for group, entries in metadata["project"]["entry-points"].items():
            for name, target in entries.items():
                loaded = plugins.load(group.removeprefix("start_sdk."), name)
                assert f"{loaded.__module__}:{loaded.__name__}" == target
