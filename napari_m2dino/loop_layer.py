"""How a loop becomes a layer: names, scale, units and metadata, and the way back from a layer to its loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from m2dino.cine.loop import CineLoop

from napari_m2dino.loop_array import LoopArray

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

LOOP_KEY = "m2dino_loop"
RESULT_KEY = "m2dino_result"
AXES = ("t", "y", "x")


def geometry(loop: CineLoop) -> dict[str, Any]:
    """Return scale, units and axis labels of every layer of a loop: millimetres only with a calibration."""
    if loop.calibration is None:
        return {"scale": (1.0, 1.0, 1.0), "units": ("pixel", "pixel", "pixel"), "axis_labels": AXES}
    scale = (1.0, loop.calibration.dy_mm, loop.calibration.dx_mm)
    return {"scale": scale, "units": ("pixel", "mm", "mm"), "axis_labels": AXES}


def image_layer(loop: CineLoop) -> tuple[LoopArray, dict[str, Any], str]:
    """Return the layer data tuple of a loop: (array, keyword arguments, "image").

    `rgb` and `multiscale` are always said, for napari would guess them from the shape.
    """
    options: dict[str, Any] = {
        "name": loop.name,
        "rgb": True,
        "multiscale": False,
        "metadata": {LOOP_KEY: loop},
        **geometry(loop),
    }
    return LoopArray(loop), options, "image"


def add_loop(viewer: Viewer, loop: CineLoop, visible: bool = True) -> Image:
    """Add a loop to a viewer as an image layer, calibrated where the loop is, and return the layer."""
    data, options, _ = image_layer(loop)
    return cast("Image", viewer.add_image(data, visible=visible, **options))


def loop_of(layer: Any) -> CineLoop | None:
    """Return the loop that a layer shows or annotates; None for a layer that is not ours."""
    metadata = getattr(layer, "metadata", None) or {}
    loop = metadata.get(LOOP_KEY)
    return loop if isinstance(loop, CineLoop) else None
