"""Binds the keys in force on the viewer and on our own layers, and binds them anew when the person changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from napari_m2dino.keys import Keys


class KeyBinder:
    """Our keys on a viewer and its layers.

    Parameters
    ----------
    keys : Keys
    actions : mapping of shortcut id to callable
        What each does; all of the registry's.
    providers : callable
        Returns the viewer and those of its layers that are ours.
    """

    def __init__(
        self, keys: Keys, actions: Mapping[str, Callable[[], None]], providers: Callable[[], Iterable[Any]]
    ) -> None:
        self.keys = keys
        self._actions = actions
        self._providers = providers
        self._bound: list[tuple[Any, list[str]]] = []
        keys.changed.connect(self._bind_anew)

    def refresh(self, _event: object = None) -> None:
        """Bind the keys on whatever does not have them yet."""
        for provider in self._providers():
            if any(provider is one for one, _ in self._bound):
                continue
            bound = {key: self._actions[name] for name, key in self.keys.all().items() if key}
            for key, action in bound.items():
                provider.bind_key(key, pressing(action), overwrite=True)
            self._bound.append((provider, list(bound)))

    def close(self) -> None:
        """Take our keys off again; safe to call twice."""
        for provider, keys in self._bound:
            for key in keys:
                provider.bind_key(key, None)
        self._bound.clear()

    def _bind_anew(self) -> None:
        self.close()
        self.refresh()


def pressing(action: Callable[[], None]) -> Callable[[Any], None]:
    """Return what napari calls with the viewer or layer: a function, for it needs a callable with a name."""

    def press(_provider: Any) -> None:
        action()

    return press
