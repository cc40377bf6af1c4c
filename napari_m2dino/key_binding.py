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
        """Bind the keys on whatever does not have them yet, and take them off what is ours no more."""
        providers = list(self._providers())
        ours = {id(provider) for provider in providers}
        _unbind(one for one in self._bound if id(one[0]) not in ours)
        self._bound = [one for one in self._bound if id(one[0]) in ours]
        for provider in providers:
            if any(provider is one for one, _ in self._bound):
                continue
            bound = {key: self._actions[name] for name, key in self.keys.all().items() if key}
            for key, action in bound.items():
                provider.bind_key(key, pressing(action), overwrite=True)
            self._bound.append((provider, list(bound)))

    def close(self) -> None:
        """Take our keys off again; safe to call twice."""
        _unbind(self._bound)
        self._bound.clear()

    def _bind_anew(self) -> None:
        self.close()
        self.refresh()


def _unbind(bound: Iterable[tuple[Any, list[str]]]) -> None:
    for provider, keys in bound:
        for key in keys:
            provider.bind_key(key, None)


def pressing(action: Callable[[], None]) -> Callable[[Any], None]:
    """Return what napari calls with the viewer or layer: a function, for it needs a callable with a name."""

    def press(_provider: Any) -> None:
        action()

    return press
