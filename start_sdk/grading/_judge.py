"""Runs one program on one input, inside a kernel: this module's source is sent there as a cell.

The program is a process of its own with limits of its own. What it is expected to print never gets
here, so no program can read it.
"""

import contextlib
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

STACK = 64 << 20
"""Bytes of stack, for deep recursion. New threads get as much, and count it as memory."""
INTERVAL = 0.002
"""Seconds between two looks at whether a program has ended."""
# Not `-I`, which ignores all variables: these are ours, and equal hash seeds give equal verdicts.
# Integers may have any length, as on contests' judges.
PYTHON = (sys.executable, "-sP", "-X", "utf8", "-X", "int_max_str_digits=0")
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def limit(cpu: int, memory: int, output: int) -> None:
    """Limits this process, and every process that it starts."""
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),  # SIGXCPU may be ignored; SIGKILL follows
        (resource.RLIMIT_DATA, memory, memory),
        (resource.RLIMIT_FSIZE, output, output),
        (resource.RLIMIT_STACK, STACK, STACK),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))


def judge(
    name: str, script: Sequence[str], cpu: float, seconds: float, memory: int, output: int
) -> None:
    """Runs a script with `NAME.in` as its standard input; writes `NAME.out` and `NAME.json`.

    Args:
        name: of the files.
        script: its path and its arguments.
        cpu: seconds of CPU time for one process.
        seconds: of wall-clock time.
        memory: bytes of memory for one process.
        output: bytes of any file that it writes.
    """
    kept = {f"{name}.in", *map(os.path.basename, script)}
    for entry in os.scandir("."):  # what the test before left behind
        if entry.name not in kept:
            shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else os.remove(entry)
    folder = tempfile.mkdtemp(dir=".")
    with (
        open(f"{name}.in", "rb") as stdin,
        open(f"{name}.out", "wb") as stdout,
        open(f"{name}.err", "wb") as stderr,
    ):
        program = subprocess.Popen(
            [*PYTHON, os.path.abspath(script[0]), *script[1:]],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=folder,
            env={**ENVIRONMENT, "HOME": os.path.abspath(folder)},
            start_new_session=True,
            preexec_fn=lambda: limit(math.ceil(cpu), memory, output),
        )
    deadline = time.monotonic() + seconds
    try:
        ended, status, usage = os.wait4(program.pid, os.WNOHANG)
        while not ended and time.monotonic() < deadline:
            time.sleep(INTERVAL)
            ended, status, usage = os.wait4(program.pid, os.WNOHANG)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)  # also what it started and left behind
    late = not ended
    if late:
        _, status, usage = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    with open(f"{name}.err", "rb") as errors:
        errors.seek(max(0, os.fstat(errors.fileno()).st_size - 1000))
        lines = errors.read().decode("utf-8", "replace").strip().split("\n")
    report = {
        "code": program.returncode,
        "late": late,
        "cpu": usage.ru_utime + usage.ru_stime,
        "error": lines[-1][-300:],
    }
    with open(f"{name}.json", "w", encoding="utf-8") as file:
        json.dump(report, file)
    os.remove(f"{name}.in")
    os.remove(f"{name}.err")
    shutil.rmtree(folder, ignore_errors=True)
