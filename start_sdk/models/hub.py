"""Whether the hub can be asked, and waiting for it no longer than a person would.

With HF_HUB_OFFLINE set, only the hub's cache on this machine is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from start_sdk.errors import MissingExtra

Found = TypeVar("Found")
SECONDS = 3.0
"""That the hub may take to answer at all."""


def offline() -> bool:
    """Whether the hub must not be asked.

    Raises:
        MissingExtra: the hub's library is not installed.
    """
    try:
        from huggingface_hub import constants
    except ImportError as error:
        raise MissingExtra("models and problems of the hub", "transformers") from error
    return bool(constants.HF_HUB_OFFLINE)


def online() -> bool:
    """Whether the hub answers, asked once: its own library would try for a minute.

    Raises:
        MissingExtra: the hub's library is not installed.
    """
    if offline():
        return False
    from huggingface_hub import constants, get_session

    try:
        within(SECONDS, lambda: get_session().head(constants.ENDPOINT, timeout=SECONDS))
    except Exception:  # a boundary: no network, no proxy, no name: the reason does not matter
        return False
    return True


def within(seconds: float, work: Callable[[], Found]) -> Found:
    """What `work` returns or raises, on a thread that is left behind if it takes longer.

    Raises:
        TimeoutError: it took longer than `seconds`.
    """
    found: list[Found] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # handed to who waits
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not found:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return found[0]
