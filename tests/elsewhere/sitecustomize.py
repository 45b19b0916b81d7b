"""Takes away from a Python process what only Linux has. On its PYTHONPATH, it runs at the start.

What remains is about what macOS has: no namespaces, pidfds, control groups, epoll or /proc.
"""

import ctypes
import fcntl
import importlib
import os
import platform
import resource
import select
import selectors
import signal
import socket
import sys
import sysconfig
from types import ModuleType
from typing import Any

GONE = {
    os: "eventfd memfd_create pidfd_open pipe2 sched_getaffinity setns setresgid setresuid splice"
    " unshare waitid O_PATH O_TMPFILE",
    select: "epoll",
    signal: "pidfd_send_signal sigtimedwait sigwaitinfo",
    socket: "AF_NETLINK AF_PACKET SOCK_CLOEXEC SOCK_NONBLOCK",
    resource: "prlimit RLIMIT_MSGQUEUE RLIMIT_RTPRIO RLIMIT_SIGPENDING",
}
CALLS = "capset mount pivot_root prctl setfsgid setfsuid setns syscall umount2 unshare"
PLACES = ("/proc", "/sys/fs/cgroup")

for module, names in GONE.items():
    for name in names.split():
        module.__dict__.pop(name, None)
for name in [name for name in vars(fcntl) if name.startswith("F_")]:
    if name not in ("F_DUPFD", "F_DUPFD_CLOEXEC", "F_GETFD", "F_SETFD", "F_GETFL", "F_SETFL",
                    "F_GETOWN", "F_SETOWN", "F_GETLK", "F_SETLK", "F_SETLKW",
                    "F_RDLCK", "F_UNLCK", "F_WRLCK"):  # fmt: skip
        delattr(fcntl, name)
os.__dict__.update(process_cpu_count=os.cpu_count)  # as of Python 3.13; it would ask Linux
for name in [name for name in vars(select) if name.startswith("EPOLL")]:
    delattr(select, name)
importlib.reload(selectors)  # it has chosen epoll


def hide(event: str, args: tuple[Any, ...]) -> None:
    """Fails as the system would, before anything is done."""
    if event == "ctypes.dlsym" and args[1] in CALLS.split():
        raise AttributeError(f"dlsym: symbol not found: {args[1]}")
    if event in ("open", "os.listdir", "os.scandir") and str(args[0]).startswith(PLACES):
        raise FileNotFoundError(2, "No such file or directory", args[0])
    if event == "subprocess.Popen" and "bwrap" in str(args[0]):
        raise FileNotFoundError(2, "No such file or directory", args[0])


assert ctypes  # imported before its calls are refused


def refuse(kind: int, limits: tuple[int, int], set_limit: Any = resource.setrlimit) -> None:
    """Fails where macOS does, which does not limit address space."""
    if kind == resource.RLIMIT_AS:
        raise ValueError("current limit exceeds maximum limit")
    set_limit(kind, limits)


# What libraries would find on macOS and do not find here. (So old a one needs no `appnope`.)
platform.mac_ver = lambda *_: ("10.8", ("", "", ""), "arm64")
sysconfig.get_config_vars()
sys.modules["_scproxy"] = ModuleType("_scproxy")
vars(sys.modules["_scproxy"]).update(_get_proxies=dict, _get_proxy_settings=dict)
resource.setrlimit = refuse
sys.addaudithook(hide)
sys.platform = "darwin"
# So that kernels of this process find this file: their environment is their own.
sys.executable = os.environ.get("ELSEWHERE_PYTHON", sys.executable)
