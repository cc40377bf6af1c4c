"""napari's own keys, and how it writes a key."""

from __future__ import annotations

from napari_m2dino.shortcuts import shown

NapariKeys = dict[str, str]
"""What napari does with a key, by the key in napari's writing ("Control-P")."""

# Layers that the plugin never makes: their keys do not compete with ours.
_NOT_OURS = ("vectors", "tracks", "surface")
_QT_NAMES = {
    "PgUp": "PageUp",
    "PgDown": "PageDown",
    "Ins": "Insert",
    "Del": "Delete",
    "Return": "Enter",
    "Esc": "Escape",
}
_NEEDED_ELSEWHERE = ("Tab", "Ctrl", "Shift", "Alt", "Meta")


def in_one_writing(key: str) -> str:
    """Return a key in the writing of the registry: modifiers in one order, "Control-Shift-Z".

    Parameters
    ----------
    key : str
        As napari writes it, or Qt: "Control-P", "Ctrl+P", "PgUp".

    Returns
    -------
    str
        Empty for what is no single key that napari knows: two keys in a row, a modifier alone, Tab, or Shift with
        a sign other than a letter, which is another sign on the keyboards of another country.
    """
    from napari.utils.key_bindings import coerce_keybinding

    *modifiers, last = shown(key).split("+")
    try:
        binding = coerce_keybinding("+".join([*modifiers, _QT_NAMES.get(last, last)]))
        (part,) = binding.parts
    except (ValueError, IndexError, KeyError):
        return ""
    name = str(part.key)
    if name in ("", "unknown", *_NEEDED_ELSEWHERE) or (part.shift and len(name) == 1 and not name.isalpha()):
        return ""
    held = [("Control", part.ctrl), ("Meta", part.meta), ("Alt", part.alt), ("Shift", part.shift)]
    return "-".join([*(word for word, on in held if on), name])


def keys_of_napari() -> NapariKeys:
    """Return the keys of napari's layers, viewer and menus, as they are set now, and what each does."""
    from napari._app_model import get_app_model
    from napari.settings import get_settings
    from napari.utils.action_manager import action_manager

    found: NapariKeys = {}
    for action, bindings in get_settings().shortcuts.shortcuts.items():
        if any(part in action for part in _NOT_OURS):
            continue
        known = action_manager._actions.get(action)
        words = known.description if known is not None else action.partition(":")[2].replace("_", " ").capitalize()
        for binding in bindings:
            found.setdefault(in_one_writing(str(binding)), words)
    for rule in get_app_model().keybindings:
        words = rule.command_id.rpartition(".")[2].rpartition(":")[2].replace("_", " ").capitalize()
        found.setdefault(in_one_writing(str(rule.keybinding)), words)
    found.pop("", None)
    return found
