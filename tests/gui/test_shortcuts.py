"""Our keys against napari's: each clash is known, on our layers only, and takes no tool away."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest
from app_model.types import KeyBinding, KeyCode, KeyMod
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts
from napari.viewer import Viewer

from napari_m2dino.napari_keys import in_one_writing
from napari_m2dino.shortcuts import FIXED, SHORTCUTS, Shortcut

# Keys of these layers never compete with ours: they are not layers that we make.
NOT_OURS = ("vectors", "tracks", "surface", "plane_normal_along_y", "plane_normal_along_z")


def napari_keys() -> dict[str, set[str]]:
    """Return napari's actions by key, in one writing."""
    actions = defaultdict(set)
    for action, keys in default_shortcuts.items():
        for key in keys:
            actions[str(KeyBinding.from_int(int(key)))].add(action)
    return actions


@pytest.mark.parametrize("shortcut", SHORTCUTS, ids=lambda shortcut: shortcut.id)
def test_each_clash_with_napari_is_known_and_there_is_another_way(shortcut: Shortcut) -> None:
    clashes = napari_keys()[str(coerce_keybinding(shortcut.key))]
    assert {action for action in clashes if not any(part in action for part in NOT_OURS)} == set(shortcut.hides)
    for action in clashes:
        tool = "mode" in action
        keys = {str(KeyBinding.from_int(int(key))) for key in default_shortcuts[action]}
        others = keys - {str(coerce_keybinding(shortcut.key))}
        assert not tool or others, f"{action} would have no key left"


def test_no_key_of_ours_is_a_menu_key_of_napari(make_napari_viewer: Callable[[], Viewer]) -> None:
    from napari._app_model import get_app_model

    make_napari_viewer()
    taken = {str(rule.keybinding) for rule in get_app_model().keybindings}
    assert "Ctrl+Q" in taken
    assert not taken & {str(coerce_keybinding(shortcut.key)) for shortcut in SHORTCUTS}


def test_no_two_of_ours_are_the_same() -> None:
    every = [*SHORTCUTS, *FIXED]
    assert len({one.key for one in every}) == len(every)
    assert len({one.id for one in SHORTCUTS}) == len(SHORTCUTS)
    assert [in_one_writing(one.key) for one in every] == [one.key for one in every]
    assert str(coerce_keybinding("Control-P")) == str(KeyBinding.from_int(KeyMod.CtrlCmd | KeyCode.KeyP))
