"""The number keys choose the class of the frame shown, while the task on the desk asks for one.

They are bound for such tasks only: on the image layer they hide napari's keys 1 and 2 (its modes "pan and zoom" and
"transform", which have buttons), and on the layers of other tasks they are napari's tools.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari_m2dino.desk import Desk
from napari_m2dino.key_binding import pressing
from napari_m2dino.shortcuts import CLASS_KEYS


class ClassKeys:
    """Keys 1 to 9 for the first nine classes."""

    def __init__(self, desk: Desk, choose: Callable[[int], None]) -> None:
        self.desk = desk
        self._choose = choose
        self._bound: list[tuple[Any, str]] = []
        desk.session_changed.connect(self.refresh)

    def refresh(self) -> None:
        """Bind the keys for the task on the desk, or give them back."""
        self.close()
        task, layer = self.desk.task, self.desk.loop_layer()
        if task is None or self.desk.result is None or task.type != "classification":
            return
        for provider in (self.desk.viewer, layer):
            for index, key in enumerate(CLASS_KEYS[: task.num_classes] if provider is not None else ()):
                provider.bind_key(key, pressing(partial(self._choose, index)), overwrite=True)
                self._bound.append((provider, key))

    def close(self) -> None:
        """Give the keys back; safe to call twice."""
        for provider, key in self._bound:
            provider.bind_key(key, None)
        self._bound.clear()
