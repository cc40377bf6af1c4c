"""All layers of a loop take on its scale, and the picture on the screen stays where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m2dino.cine.loop import CineLoop

from napari_m2dino.loop_layer import AXES, geometry, loop_of
from napari_m2dino.napari_compat import camera

if TYPE_CHECKING:
    from napari.viewer import Viewer


def flat_geometry(loop: CineLoop) -> dict[str, Any]:
    """Return scale, units and axis labels of a layer over all frames of a loop: y and x alone."""
    whole = geometry(loop)
    return {"scale": whole["scale"][1:], "units": whole["units"][1:], "axis_labels": AXES[1:]}


def twins(viewer: Viewer, loop: CineLoop) -> list[CineLoop]:
    """Return the loop, and every other opening of it that the viewer shows."""
    found = {id(loop): loop}
    for layer in viewer.layers:
        other = loop_of(layer)
        if other is not None and other.identity == loop.identity:
            found[id(other)] = other
    return list(found.values())


def rescale(viewer: Viewer, loop: CineLoop) -> None:
    """Give every layer of a loop, image and results, the loop's scale and units; their data are not touched.

    The camera moves with them, so that the same part of the image fills the window as before.
    """
    options = geometry(loop)
    ours = [layer for layer in viewer.layers if (other := loop_of(layer)) and other.identity == loop.identity]
    if not ours:
        return
    seen = camera(viewer)
    centre, zoom = tuple(seen.center), float(seen.zoom)
    old_y, old_x = (float(one) for one in ours[0].scale[-2:])
    _, new_y, new_x = options["scale"]
    for layer in ours:
        layer.scale = options["scale"]
        layer.units = options["units"]
    ratio_y, ratio_x = new_y / old_y, new_x / old_x
    seen.center = (*centre[:-2], centre[-2] * ratio_y, centre[-1] * ratio_x)
    seen.zoom = zoom / (ratio_y * ratio_x) ** 0.5
