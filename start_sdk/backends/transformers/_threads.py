"""How many threads share a forward pass on a CPU; the figures are in docs/backends.md."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

SMALL = 30_000_000
"""Parameters below which a forward pass is too short to be shared at all."""
LARGE = 1_000_000_000
"""Parameters from which even a single row is work for every core."""


def threads_for(model: Any) -> int:
    """The number of threads for a model on CPU: at most as many as torch would take.

    Threads wait for each other after each product. Between the two sizes that gains nothing for a
    single row, and loses half of the speed if a core is busy with something else; kernels and the
    event loop are. So half of the cores are left to them.
    """
    size = model.num_parameters()
    if size < SMALL:
        return 1
    if size >= LARGE:
        return torch.get_num_threads()
    return max(1, min(torch.get_num_threads(), len(os.sched_getaffinity(0)) // 2))


def set_threads(engine: ThreadPoolExecutor, number: int) -> None:
    """Sets the number of threads for what an engine's only thread computes, and for nothing else.

    torch has one global number, which each thread copies when it first uses it: so it is copied on
    the engine's thread, changed there, and the global one restored.
    """
    others = torch.get_num_threads()
    engine.submit(torch.get_num_threads).result()
    engine.submit(torch.set_num_threads, number).result()
    torch.set_num_threads(others)
