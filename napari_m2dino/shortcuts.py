"""Every key of the plugin in one list: it binds them, fills tooltips and the table of keys, and is tested for clashes.

What the person has changed is in `keys`; here is what holds until then. No Qt.

napari ignores keys in the manifest, and the keys of a layer win over those of the viewer; so ours are bound on the
viewer and on our own layers, never on a layer class. A key of napari's that one of ours hides on our layers is listed
in `hides`, and must have another way to be reached.
"""

from __future__ import annotations

from dataclasses import dataclass

CLASS_KEYS = tuple("123456789")
"""Choose the class of the frame, where the task asks for one; they go by the number and cannot be changed."""

CANCEL_KEY = "Escape"
"""Gives up the line of a calibration by hand; cannot be changed."""


@dataclass(frozen=True)
class Shortcut:
    """A key and what it does.

    Attributes
    ----------
    id : str
    key : str
        In napari's writing: "A", "Control-P".
    text : str
        What it does, for the tooltip and the list of keys.
    hides : tuple of str
        napari actions that have the same key on one of our layers, and so cannot be reached by it there.
    """

    id: str
    key: str
    text: str
    hides: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The key as people write it."""
        return shown(self.key)


SHORTCUTS = (
    Shortcut("accept", "A", "Accept the frame", ("napari:select_all_in_slice", "napari:select_shapes_in_slice")),
    Shortcut(
        "reject",
        "X",
        "Reject the frame as unusable",
        (
            "napari:swap_selected_and_background_labels",
            "napari:activate_vertex_remove_mode",
            "napari:orient_plane_normal_along_x",
        ),
    ),
    Shortcut("next", "N", "Go to the next frame to review"),
    Shortcut("take_back", "U", "Take back the decision on the frame"),
    Shortcut("next_in_order", "Shift-N", "Go to the next frame along the loop that nobody has decided on"),
    Shortcut("undo", "Control-Z", "Undo the last thing done"),
    Shortcut("redo", "Control-Shift-Z", "Do again what was undone"),
    Shortcut("step_back", "Left", "Step back; hold to go faster", ("napari:increment_dims_left",)),
    Shortcut("step_on", "Right", "Step on; hold to go faster", ("napari:increment_dims_right",)),
    Shortcut("predict_frame", "Control-P", "Predict the frame shown"),
    Shortcut("predict_all", "Control-L", "Predict the whole loop"),
    Shortcut("draw", "D", "Draw by hand: brush, box or points", ("napari:activate_direct_mode",)),
    Shortcut("carry", "G", "Carry the frame to its neighbours"),
    Shortcut("fill_between", "I", "Fill in between two decided frames", ("napari:activate_vertex_insert_mode",)),
    Shortcut("hide_point", "H", "Mark the selected point as not visible"),
)


FIXED = (
    *(Shortcut("class", key, f"Choose class {key} of the frame") for key in CLASS_KEYS),
    Shortcut("cancel", CANCEL_KEY, "Give up the line of a calibration"),
)
"""Keys that cannot be changed."""


def shown(key: str) -> str:
    """Return a key as people write it: "Ctrl+P" for "Control-P"; empty where there is none."""
    for modifier, word in (("Control", "Ctrl"), ("Meta", "Meta"), ("Alt", "Alt"), ("Shift", "Shift")):
        key = key.replace(f"{modifier}-", f"{word}+")
    return key


def table(keys: dict[str, str] | None = None) -> list[tuple[str, str]]:
    """Return the table of keys.

    Parameters
    ----------
    keys : dict of str to str, optional
        Key by shortcut id; by default those of the registry.

    Returns
    -------
    list of (str, str)
        The key as people write it, and what it does; the keys that cannot be changed come last.
    """
    own = [(shown(keys[one.id]) if keys is not None else one.shown, one.text) for one in SHORTCUTS]
    return [
        *own,
        (f"{CLASS_KEYS[0]} to {CLASS_KEYS[-1]}", "Choose the class of the frame, where the task asks for one"),
        (CANCEL_KEY, FIXED[-1].text),
    ]
