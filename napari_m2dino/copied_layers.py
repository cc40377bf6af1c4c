"""Copies that napari makes of a layer of results, by duplicating or converting it: they are the person's own.

napari copies the metadata, too, so that the copy would pass for the layer whose strokes are heard and saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from napari_m2dino.loop_layer import LOOP_KEY, RESULT_KEY
from napari_m2dino.result_layers import result_of

if TYPE_CHECKING:
    from napari.layers import Layer


def copies(layers: Iterable[Layer]) -> list[Layer]:
    """Return the layers that bear the marks of a result which another layer shows."""
    return [layer for layer in layers if (result := result_of(layer)) is not None and result.layer is not layer]


def let_go(copied: Iterable[Layer]) -> None:
    """Take the marks off layers; without the one of the result alone, a copy would pass for the loop's picture."""
    for layer in copied:
        layer.metadata = {key: kept for key, kept in layer.metadata.items() if key not in (LOOP_KEY, RESULT_KEY)}


def copies_in_words(names: Sequence[str], lost: bool) -> str:
    """Return what to tell a person of copies; `lost`: what they were made of is in the viewer no more."""
    which = ", ".join(f"“{name}”" for name in names)
    one = len(names) == 1
    own = f"{'is a layer' if one else 'are layers'} of your own: what you do to {'it' if one else 'them'}"
    back = " “New label” brings back the one that is." if lost else ""
    return f"{which} {own} is not saved here.{back}"
