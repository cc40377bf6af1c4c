"""Waiting for a codec only so long: a few damaged streams keep one busy for a quarter of a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def within(seconds: float, action: Callable[[], T]) -> T:
    """Return what `action` returns, or raise what it raises; `TimeoutError` where it takes longer.

    A codec cannot be interrupted: one that is given up on works to its end in a thread of its own, and its result is
    thrown away.
    """
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = action()
        except Exception as error:  # noqa: BLE001  # handed on to the caller as it is
            outcome["error"] = error

    thread = threading.Thread(target=run, name="codec", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError
    if "error" in outcome:
        raise outcome["error"]
    value: T = outcome["value"]
    return value
