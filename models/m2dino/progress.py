"""How long work reports back: plain callables, so that the engine knows neither Qt nor a terminal."""

from __future__ import annotations

from typing import Protocol


class OnProgress(Protocol):
    """Called as `on_progress(done, total, text)`; `total` is 0 while it is not known."""

    def __call__(self, done: int, total: int, text: str) -> None: ...


class ShouldStop(Protocol):
    """Called often; work ends soon, and cleanly, after it returns True."""

    def __call__(self) -> bool: ...


def ignore_progress(done: int, total: int, text: str) -> None:
    """Report to nobody."""


def never_stop() -> bool:
    """Go on to the end."""
    return False
