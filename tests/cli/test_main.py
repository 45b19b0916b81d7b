"""`python -m start_sdk` is the command `start-sdk`."""

from __future__ import annotations

import subprocess
import sys

import start_sdk


def run(option: str) -> str:
    command = [sys.executable, "-m", "start_sdk", option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_m_start_sdk_behaves_as_the_command() -> None:
    assert run("--version") == f"{start_sdk.__version__}\n"
    usage = run("--help")
    assert "Usage: start-sdk [OPTIONS] COMMAND" in usage
    commands = ("ask", "solve", "rows", "check-backend", "check-model", "demo", "doctor")
    assert all(name in usage for name in commands)
