"""Every hostile cell is contained, and the session continues or learns that its state is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from start_tools.python import PythonTool, cell
from start_tools.python.isolation import trouble

from attacks.cells import ATTACKS, Attack

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Of each kind: reading, writing, networks, powers, processes, memory, output, messages, interrupts.
FAST = {
    "read a file of the host",
    "environment of others",
    "host's loopback",
    "internet",
    "abstract socket",
    "write /usr",
    "fill shared memory",
    "new user namespace",
    "trace the parent",
    "blind the watcher",
    "slow the watcher",
    "notices and leases of files, signals when they change",
    "kill the host",
    "forks",
    "memory in pieces",
    "output in one piece",
    "a message of many objects",
    "no interrupts",
    "crash",
}
"""Run by `make test`; the others by `make test-slow`."""
assert {attack.name for attack in ATTACKS} >= FAST


@dataclass
class Host:
    """Resources outside the sandbox that must not be touched."""

    secret: str
    file: Path
    server: socket.socket
    abstract: socket.socket
    bystander: subprocess.Popen[bytes]

    def fill(self, text: str) -> str:
        return text.format(
            secret=self.secret,
            half=self.secret[:20],
            rest=self.secret[20:],
            file=self.file,
            port=self.server.getsockname()[1],
            abstract=self.abstract.getsockname()[1:].decode(),
            host=os.getpid(),
            bystander=self.bystander.pid,
        )

    def untouched(self) -> bool:
        for listener in (self.server, self.abstract):
            with pytest.raises(BlockingIOError):
                listener.accept()
        return self.file.read_text(encoding="utf-8") == self.secret and not self.bystander.poll()


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    secret = secrets.token_hex(20)
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen(["sleep", "1000"]) as bystander,
        pytest.MonkeyPatch.context() as patch,
    ):
        abstract.bind(f"\0{secrets.token_hex()}")
        abstract.listen()
        server.setblocking(False)
        abstract.setblocking(False)
        file = Path(folder, "secret")
        file.write_text(secret, encoding="utf-8")
        patch.setenv("API_TOKEN", secret)
        yield Host(secret, file, server, abstract, bystander)
        bystander.kill()


@pytest.fixture(scope="module", params=["namespaces", "bubblewrap"])
def tool(request: pytest.FixtureRequest, host: Host) -> PythonTool:
    if problem := trouble(request.param):
        pytest.skip(f"no {request.param} here: {problem}")
    return PythonTool(isolation=request.param, memory_mb=512, warm=1)


def peak(anew: bool = False) -> int:
    """Peak memory of this process in KiB; `anew` resets it first."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def boxed(tool: PythonTool) -> PythonTool:
    """A tool whose kernels are contained, as far as a harmless check can show.

    Some attacks would harm this machine otherwise.
    """
    async with tool.open() as kernel:
        told = await kernel.run(
            "import os\n{n: os.readlink(f'/proc/self/ns/{n}') for n in ('pid', 'mnt', 'net', 'ipc')}"
        )
        spaces = dict(re.findall(r"'(\w+)': '([^']+)'", told.text))
        assert len(spaces) == 4, told.text
        assert all(os.readlink(f"/proc/self/ns/{n}") != space for n, space in spaces.items())
        assert (await kernel.run("open('/usr/x', 'w')")).status == "error"
    return tool


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(attack, id=attack.name, marks=[] if attack.name in FAST else pytest.mark.slow)
        for attack in ATTACKS
    ],
)
async def test_contained(
    boxed: PythonTool, host: Host, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    timeout = attack.timeout
    if not {"timeout", "killed", "died"}.intersection(attack.ends.split()):
        # It runs into no limit; a busy machine takes longer.
        monkeypatch.setattr(cell, "GRACE", 20)
        timeout = 120
    before = peak(anew=True)
    async with boxed.open() as kernel:
        result = await kernel.run(host.fill(attack.code), timeout=timeout)
        began = time.monotonic()
        after = await kernel.run("print(1 + 1)", timeout=6)

    told = f"{result.status}: {result.text}"
    assert result.status in attack.ends.split(), told
    assert re.search(attack.says, result.text), told
    assert not re.search(host.fill(attack.never), result.text), told
    # The kernel is usable, or its loss of state is reported.
    if after.text != "2":
        assert not after.state_kept, after
    assert "LATE" not in after.text
    assert time.monotonic() - began < 30  # 6 s on an idle machine
    assert host.untouched()
    assert peak() - before < 100_000  # KiB


async def test_links_and_pipes_do_not_deceive_the_host(tool: PythonTool) -> None:
    from start_sdk.errors import InterpreterError

    async with tool.open() as kernel:
        await kernel.run(
            "import os\nos.mkfifo('pipe')\nos.symlink('/proc/self', 'self')\nos.symlink('/etc', 'e')\n"
            "open('fine', 'w').write('x')"
        )
        for path in (
            "pipe",
            "self/environ",
            "self/mem",
            "e/passwd",
            "../tmp/x",
            "/etc/passwd",
            "no",
        ):
            with pytest.raises(InterpreterError, match="of the kernel"):
                await asyncio.wait_for(kernel.get_file(path), 5)
        for path in ("self/mem", "e/passwd", "../tmp/x", "/tmp/x"):
            with pytest.raises(InterpreterError, match="of the kernel"):
                await kernel.put_file(path, b"x")
        assert await kernel.get_file("fine") == b"x"


async def test_nothing_outlives_its_kernel(tool: PythonTool) -> None:
    seconds = f"98765{secrets.randbelow(10**9):09}"  # identifies the process outside the sandbox

    def sleeps() -> bool:
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has just ended
                if seconds in command.read_text("utf-8", "replace"):
                    return True
        return False

    async with tool.open() as kernel:
        code = (
            f"import subprocess\nsubprocess.Popen(['sleep', '{seconds}'], start_new_session=True);"
        )
        await kernel.run(code)
        assert sleeps()
    began = time.monotonic()
    while sleeps():
        assert time.monotonic() - began < 20
        await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_an_ordinary_user_is_protected_too(request: pytest.FixtureRequest) -> None:
    if os.getuid() != 0:
        pytest.skip("this is an ordinary user")
    if not sys.executable.startswith(str(Path(__file__).parents[2])):
        pytest.skip("the environment is not beside the tests")
    script, folder = Path(__file__).with_name("as_nobody.sh"), str(Path(__file__).parent)
    command = ["unshare", "--mount", "sh", str(script), sys.base_prefix]
    # Without the cache plugin, which would write where the user nobody may not.
    command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
    command += ["-k", request.config.getoption("keyword") or "not ordinary"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(f"no ordinary user is available here: {done.stderr.strip()}")

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
