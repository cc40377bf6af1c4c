"""The keys in force: those of the registry, and what the person has changed, kept in a file beside the other settings.

Only what differs from the registry is written, so that a later version can give new actions keys of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from m2dino.data.durable import write_whole
from m2dino.errors import UsageError
from qtpy.QtCore import QObject, Signal

from napari_m2dino.napari_keys import NapariKeys, in_one_writing, keys_of_napari
from napari_m2dino.shortcuts import FIXED, SHORTCUTS, shown

VERSION = 1
FILE_NAME = "keys.json"


class KeyTakenError(UsageError):
    """A key cannot be given to an action; the sentence names the action that has it, or says what is wrong with it."""


class Keys(QObject):
    """Which key does what.

    Parameters
    ----------
    file : Path
        Where changes are kept; need not exist.
    napari : callable, optional
        Returns napari's own keys.

    Signals
    -------
    changed : the keys are others now
    """

    changed = Signal()

    def __init__(self, file: Path, napari: Callable[[], NapariKeys] = keys_of_napari) -> None:
        super().__init__()
        self.file = file
        self._napari = napari
        self._own = read(file)

    def key(self, shortcut_id: str) -> str:
        """Return the key of an action in napari's writing; empty where it has none."""
        return self.all()[shortcut_id]

    def shown(self, shortcut_id: str) -> str:
        """Return the key of an action as people write it; empty where it has none."""
        return shown(self.key(shortcut_id))

    def tip(self, words: str, shortcut_id: str) -> str:
        """Return the words of a tooltip with the key of its action."""
        key = self.shown(shortcut_id)
        return f"{words}  [{key}]" if key else words

    def all(self) -> dict[str, str]:
        """Return key by action, in the order of the registry."""
        return {one.id: self._own.get(one.id, one.key) for one in SHORTCUTS}

    def changes(self) -> dict[str, str]:
        """Return what differs from the registry."""
        return dict(self._own)

    def change(self, shortcut_id: str, key: str) -> None:
        """Give an action another key, and keep that.

        Parameters
        ----------
        shortcut_id : str
        key : str
            In napari's or in Qt's writing; empty for none.

        Raises
        ------
        KeyTakenError
            The key is another action's, here or in napari, or is no single key; nothing is changed.
        OSError
            The change holds for this window, but cannot be kept.
        """
        wanted = in_one_writing(key) if key else ""
        if key and not wanted:
            raise KeyTakenError(
                f"{key} cannot be a key here: take one key, such as F5 or a letter, with or without Ctrl, Alt or Shift."
            )
        # Another window may have changed other keys meanwhile.
        now = {**self._own, **read(self.file)}
        if wanted:
            self._refuse_if_taken(shortcut_id, wanted, now)
        now[shortcut_id] = wanted
        self._take(now)

    def reset(self) -> None:
        """Go back to the keys of the registry.

        Raises
        ------
        OSError
            The change holds for this window, but cannot be kept.
        """
        self._take({})

    def _take(self, keys: Mapping[str, str]) -> None:
        default = {one.id: one.key for one in SHORTCUTS}
        self._own = {name: key for name, key in keys.items() if name in default and key != default[name]}
        self.changed.emit()
        write_whole(self.file, json.dumps({"version": VERSION, "keys": self._own}, indent=1).encode())

    def _refuse_if_taken(self, shortcut_id: str, key: str, now: Mapping[str, str]) -> None:
        ours = {one.id: now.get(one.id, one.key) for one in SHORTCUTS if one.id != shortcut_id}
        for one in SHORTCUTS:
            if ours.get(one.id) == key:
                raise KeyTakenError(
                    f"{shown(key)} is the key of “{one.text}”: give that another key first, or choose another here."
                )
        for fixed in FIXED:
            if fixed.key == key:
                raise KeyTakenError(f"{shown(key)} is the key of “{fixed.text}”, which has no other: choose another.")
        # A key that the registry has for any of ours hides napari's already, and napari's action has another way.
        if key in {one.key for one in SHORTCUTS}:
            return
        if taken := self._napari().get(key):
            raise KeyTakenError(f"{shown(key)} is napari’s key of “{taken}”, which it would hide: choose another.")


def read(file: Path) -> dict[str, str]:
    """Return the changes that a file holds: none from one that is damaged or gives one key twice."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        kept = dict(known["keys"]) if known["version"] == VERSION else {}
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    names = {one.id for one in SHORTCUTS}
    whole = {
        name: key
        for name, key in kept.items()
        if name in names and isinstance(key, str) and (not key or in_one_writing(key) == key)
    }
    keys = [key for one in SHORTCUTS if (key := whole.get(one.id, one.key))] + [one.key for one in FIXED]
    return whole if len(set(keys)) == len(keys) else {}
