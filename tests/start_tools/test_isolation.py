"""Which isolation level is chosen, how it is reported, and what happens if one is unavailable."""

from __future__ import annotations

import pytest
import start_tools.python
from start_tools.python import IsolationWarning, PythonTool
from start_tools.python import isolation as levels

from start_sdk.errors import ConfigError, InterpreterError


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which only `plain` is available."""
    monkeypatch.setattr(start_tools.python, "_warned", False)
    monkeypatch.setattr(
        levels, "trouble", lambda level: "" if level == "plain" else "Operation not permitted"
    )


@pytest.mark.filterwarnings("error")
async def test_auto_warns_once_where_there_is_no_sandbox(no_namespaces: None) -> None:
    tool = PythonTool(preload=())
    with pytest.warns(
        IsolationWarning, match=r"namespaces \(Operation not.*files.*isolation=\"plain\"\)"
    ) as seen:
        async with tool.open() as kernel:
            assert (await kernel.run("1")).text == "1"

    assert len(seen) == 1
    async with tool.open():  # would raise: warnings are errors here
        pass


@pytest.mark.filterwarnings("error")
async def test_asking_for_no_isolation_does_not_warn(no_namespaces: None) -> None:
    tool = PythonTool(preload=(), isolation="plain")
    async with tool.open():
        pass

    assert tool.isolation_level.level == "plain" and "you asked" in tool.isolation_level.reason


async def test_an_unavailable_level_is_an_error(no_namespaces: None) -> None:
    tool = PythonTool(preload=(), isolation="namespaces")
    with pytest.raises(
        InterpreterError, match=r"'namespaces' is not available.*not permitted.*auto"
    ):
        async with tool.open():
            pass
    with pytest.raises(InterpreterError, match="is not available"):
        _ = tool.isolation_level


def test_auto_takes_the_strongest_available_level() -> None:
    if problem := levels.trouble("namespaces"):
        pytest.skip(f"no namespaces here: {problem}")

    assert PythonTool().isolation_level.level == "namespaces"
    assert "not protected from" in PythonTool().isolation_level.reason


def test_an_unknown_level_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="'vault'"):
        PythonTool(isolation="vault")  # type: ignore[arg-type]
