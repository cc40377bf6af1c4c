"""Every key of the plugin in one list: it binds them, fills the tooltips, and is tested for clashes.

napari ignores keys in the manifest, and the keys of a layer win over those of the viewer; so ours are bound on the
viewer and on our own layers, never on a layer class. A key of napari's that one of ours hides on our layers is listed
in `hides`, and must have another way to be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


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
        return self.key.replace("Control", "Ctrl").replace("-", "+")


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


def key_of(shortcut_id: str) -> str:
    """Return the key of an action as people write it; empty where it has none."""
    return next((shortcut.shown for shortcut in SHORTCUTS if shortcut.id == shortcut_id), "")


def bind(provider: Any, actions: Mapping[str, Callable[[], None]]) -> None:
    """Bind every key on a viewer or on one layer of ours.

    Parameters
    ----------
    provider : napari viewer or layer
    actions : mapping of shortcut id to callable
        What each does.
    """
    for shortcut in SHORTCUTS:
        action = actions[shortcut.id]
        provider.bind_key(shortcut.key, _ignoring_argument(action), overwrite=True)


def unbind(providers: Iterable[Any]) -> None:
    """Take our keys off again."""
    for provider in providers:
        for shortcut in SHORTCUTS:
            provider.bind_key(shortcut.key, None)


def _ignoring_argument(action: Callable[[], None]) -> Callable[[Any], None]:
    def press(_provider: Any) -> None:
        action()

    return press
