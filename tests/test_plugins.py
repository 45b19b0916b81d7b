"""Plugins by name: built-in ones are entry points too, and errors are one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from start_sdk import BeforeEnd, MissingExtra, ModelError, PluginError, open_backend, plugins


def install(folder: Path, package: str, group: str, name: str, value: str) -> None:
    """Writes the metadata that installing a distribution leaves on the path."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[start_sdk.{group}]\n{name} = {value}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_built_in_plugins_are_entry_points() -> None:
    assert plugins.load("hints", "end") is BeforeEnd
    assert plugins.names("hints") == ["connective", "end", "none"]
    assert "transformers" in plugins.names("backends")
    from start_tools.python import PythonTool

    assert plugins.load("interpreters", "python") is PythonTool


def test_a_third_party_policy_is_found(site: Path) -> None:
    (site / "their_hints.py").write_text("class Mine:\n    triggers = ()\n")
    install(site, "their-hints", "hints", "mine", "their_hints:Mine")
    assert "mine" in plugins.names("hints")
    assert plugins.load("hints", "mine") is sys.modules["their_hints"].Mine


def test_an_unknown_name_lists_the_installed_plugins() -> None:
    with pytest.raises(PluginError, match="no hint is named 'x'; installed: connective, end, none"):
        plugins.load("hints", "x")


def test_a_duplicate_name_lists_its_packages(site: Path) -> None:
    install(site, "first", "hints", "twice", "m:a")
    install(site, "second", "hints", "twice", "m:b")
    with pytest.raises(PluginError, match=r"more than one package \(first, second\)"):
        plugins.load("hints", "twice")


def test_a_plugin_that_fails_to_load_is_reported(site: Path) -> None:
    install(site, "broken", "hints", "broken", "no_such_module_here:a")
    with pytest.raises(PluginError, match="cannot be loaded: No module named"):
        plugins.load("hints", "broken")


@pytest.mark.parametrize(
    ("backend", "library", "extra"),
    [
        ("transformers", "torch", "transformers"),
        ("openai", "httpx2", "servers"),
        ("vllm", "vllm", "vllm"),
    ],
)
def test_a_missing_extra_says_what_to_install(
    backend: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [m for m in sys.modules if m.startswith(f"start_sdk.backends.{backend}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'start-sdk\[{extra}\]'"):
        plugins.load("backends", backend)


def test_vllm_is_not_imported_for_a_model_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text("raise ImportError('no libcuda.so')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [m for m in sys.modules if m.startswith("start_sdk.backends.vllm")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    with pytest.raises(ModelError, match="cannot be loaded: "):
        open_backend(str(tmp_path), "vllm")
    with pytest.raises(ModelError, match=r"vLLM cannot be imported: no libcuda\.so"):
        open_backend("start-tiny-base", "vllm")
