"""What a cell does is not noticed outside its kernel: not by the host's programs, nor by others."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
import sys
from collections.abc import Iterator

import pytest
from start_tools.python import PythonTool, cgroups
from start_tools.python.isolation import trouble


@pytest.fixture(params=["namespaces", "bubblewrap"])
def tool(request: pytest.FixtureRequest) -> PythonTool:
    if problem := trouble(request.param):
        pytest.skip(f"no {request.param} here: {problem}")
    return PythonTool(isolation=request.param, preload=(), memory_mb=160, warm=0)


async def test_contained_locks_hold_for_nobody_else(tool: PythonTool) -> None:
    lock = (
        "import fcntl\nfiles = [open('/dev/null'), open(fcntl.__file__, 'rb')]\n"
        "for f in files: fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB); fcntl.lockf(f, fcntl.LOCK_SH)"
    )
    async with tool.open() as one, tool.open() as two:
        assert (await one.run(lock)).status == "ok"
        assert (await two.run(lock)).status == "ok"
        for path in ("/dev/null", fcntl.__file__):
            fd = os.open(path, os.O_RDONLY)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(fd)


async def test_contained_flags_of_standard_input_are_not_shared(tool: PythonTool) -> None:
    flags = "import fcntl, os\nbool(fcntl.fcntl(0, fcntl.F_GETFL) & os.O_NONBLOCK)"
    async with tool.open() as one, tool.open() as two:
        await one.run("import os\nos.set_blocking(0, False)")
        assert (await one.run(flags)).text == "True"
        assert (await two.run(flags)).text == "False"


async def test_contained_kernels_of_two_pools_have_their_own_users() -> None:
    if trouble("namespaces") or os.getuid():
        pytest.skip("only root gives each kernel a user")
    tools = [PythonTool(isolation="namespaces", preload=(), warm=0, disk_mb=n) for n in (1, 2)]
    async with tools[0].open() as one, tools[1].open() as two:
        users = [int((await k.run("import os; os.getuid()")).text) for k in (one, two)]

    assert abs(users[0] - users[1]) > 1


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """The limit of most machines, which is also that of descriptors under way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_descriptors")
async def test_contained_descriptors_under_way_do_not_use_up_the_hosts(tool: PythonTool) -> None:
    send = (
        "import socket\npairs = [socket.socketpair() for i in range(100)]\n"
        "for a, b in pairs:\n  for i in range(3): socket.send_fds(a, [b'x'], [0] * 250)"
    )
    one, two = socket.socketpair()
    with one, two:
        async with tool.open() as kernel:
            result = await kernel.run(send)
            socket.send_fds(one, [b"x"], [0])

    assert result.status == "error" and "Error: [Errno" in result.text


async def test_contained_notices_of_the_hosts_files(tool: PythonTool) -> None:
    async with tool.open() as kernel:
        result = await kernel.run(
            "import fcntl, os\n"
            f"fcntl.fcntl(os.open({sys.prefix!r}, os.O_RDONLY), fcntl.F_NOTIFY, 0x80000021)"
        )

    assert result.text.endswith("PermissionError: [Errno 1] Operation not permitted")


START = (
    "import ctypes, os, select, time\nlibc = ctypes.CDLL(None)\n"
    "def start(number, child):\n  for i in range(number):\n"
    "    if not os.fork(): child(); time.sleep(60); os._exit(0)\n"
    "def hold():\n  global kept\n  kept = b'x' * (60 << 20)\n"
)
HELD = {
    "by many processes": "start(8, hold)",
    "by processes that cannot be inspected": (
        "def hide(): libc.prctl(4, 0, 0, 0, 0); hold()\nstart(8, hide)"
    ),
    "by processes without a first thread": (
        "import _thread\ndef end():\n  _thread.start_new_thread(lambda: [hold(), time.sleep(60)], ())\n"
        "  while 'kept' not in globals(): time.sleep(.01)\n  libc.syscall(60, 0)\nstart(8, end)"
    ),
    "by tables of pages": (
        "import mmap\n"
        "m = mmap.mmap(-1, 1 << 38, flags=0x4022, prot=mmap.PROT_READ)\nm.madvise(15)\n"
        "for i in range(0, len(m), 1 << 21): m[i]"
    ),
    "by tables of areas": (
        "libc.mmap.restype = ctypes.c_void_p\ndef split():\n"
        "  a = libc.mmap(None, ctypes.c_size_t(1 << 28), 1, 0x4022, -1, ctypes.c_long(0))\n"
        "  for i in range(0, 1 << 28, 1 << 13):\n"
        "    libc.mprotect(ctypes.c_void_p(a + i), ctypes.c_size_t(4096), 0)\nstart(40, split)"
    ),
    "by pipes": (
        "def fill():\n  for i in range(400):\n    r, w = os.pipe(); os.set_blocking(w, False)\n"
        "    try:\n      while True: os.write(w, bytes(1 << 16))\n    except BlockingIOError: pass\n"
        "start(30, fill)"
    ),
    "by what is watched": (
        "events = [os.eventfd(0) for i in range(400)]\ndef watch():\n  for i in range(500):\n"
        "    events.append(select.epoll())\n    for e in events[:400]: events[-1].register(e, 1)\n"
        "start(4, watch)"
    ),
    "by connections that nobody accepts": (
        "import socket\nservers = [socket.create_server(('127.0.0.1', 0)) for i in range(40)]\n"
        "for s in servers:\n  s.listen(300)\n  for i in range(300):\n    with socket.socket() as c:\n"
        "      c.connect(s.getsockname()); c.setblocking(False); c.send(bytes(60_000))"
    ),
}
"""Ways to hold more than 160 MB, and the zygote's 256 MB that a kernel may share."""
FAST = {"by processes that cannot be inspected", "by pipes"}
"""Run by `make test`."""


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(code, id=name, marks=[] if name in FAST else pytest.mark.slow)
        for name, code in HELD.items()
    ],
)
async def test_contained_memory_is_measured_where_nothing_caps_it(
    tool: PythonTool, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setattr("start_tools.python.cgroups.parents", list)  # also as root
    async with tool.open() as kernel:
        result = await kernel.run(f"{START}{held}\ntime.sleep(20)", timeout=15)

    # Tables of areas may take so long to count that the kernel cannot be measured any more.
    assert result.status in (("oom", "killed") if "mprotect" in held else ("oom",)), result
    assert not result.state_kept


async def test_contained_a_cgroup_counts_what_sockets_hold() -> None:
    if trouble("namespaces") or os.getuid() or not cgroups.parents():
        pytest.skip("only root has cgroups")
    tool = PythonTool(isolation="namespaces", preload=(), memory_mb=64, disk_mb=1, warm=0)
    code = (
        "import re, socket\nkept = []\nfor i in range(700):\n"
        "  kept.append(socket.socket(2, 2)); kept[-1].bind(('127.0.0.1', 0))\n"
        "  with socket.socket(2, 2) as s:\n    s.setblocking(False)\n    try:\n"
        "      for j in range(10): s.sendto(bytes(32000), kept[-1].getsockname())\n"
        "    except BlockingIOError: pass\n"
        "int(re.search(r'UDP: inuse \\d+ mem (\\d+)', open('/proc/net/sockstat').read())[1]) >> 8"
    )
    async with tool.open() as kernel:
        result = await kernel.run(code, timeout=30)

    assert int(result.text) < 90  # MiB of the whole machine
