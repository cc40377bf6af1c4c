"""What differs between napari versions, or is not in its public interface, in one place."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import Dims
    from napari.layers import Labels, Layer
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget

INCONSISTENT_UNITS = "Inconsistent units across layers; units will not be used for rendering."
"""What napari says as a warning when some layers are in a length and others in pixels."""


def forget_undo(layer: Labels) -> None:
    """Empty the undo history of a Labels layer.

    napari keeps it when data are replaced, so that Ctrl+Z would write old pixels into new data. Making a layer
    read-only empties it; the mode, which that resets too, is put back.
    """
    mode = layer.mode
    layer.editable = False
    layer.editable = True
    layer.mode = mode


def measure_anew(layer: Layer) -> None:
    """Have the viewer look anew at how far a layer extends, and so how long its sliders are.

    Shapes that are removed leave the sliders as long as they had made them: napari 0.9 keeps the extent it has worked
    out, and has no event of its own for it. That of the scale does it.
    """
    layer.refresh()
    layer.events.scale()


def time_axis(dims: Dims) -> int:
    """Return which of the viewer's axes is the time of loops: that before y and x; below 0 where there is none.

    Layers with more axes than a loop put theirs before it.
    """
    return int(dims.ndim) - 3


def frame_shown(dims: Dims) -> int:
    """Return the frame that the viewer's slider stands on, whether or not a loop has it; 0 where there is no slider.

    Not from napari's `current_step`, which counts in the smallest spacing of all layers from the least place of any. A
    loop's own layers begin at 0 and are 1 apart (`loop_layer.geometry`), whatever layers of others are there.
    """
    axis = time_axis(dims)
    return round(float(dims.point[axis])) if axis >= 0 else 0


def current_frame(viewer: Viewer, frames: int) -> int:
    """Return the frame that the viewer shows, within a loop of `frames`: past its ends, the first or last."""
    return min(max(frame_shown(viewer.dims), 0), max(frames - 1, 0))


def go_to_frame(viewer: Viewer, frame: int) -> None:
    """Move the viewer's slider of time."""
    axis = time_axis(viewer.dims)
    if axis < 0:
        return
    viewer.dims.set_point(axis, frame)
    if frame_shown(viewer.dims) != frame:
        # Its steps need not meet the frames, where a layer begins between two: the first time it goes to the nearest.
        viewer.dims.set_point(axis, frame)


def text_overlay(viewer: Viewer) -> Any:
    """Return the model of the text on the canvas: moved in napari 0.9."""
    canvas = getattr(viewer, "canvas", None)
    return canvas.overlays.text if canvas is not None else viewer.text_overlay


def person_at_work() -> bool:
    """Return whether a click, a drop or a menu made the call, and not a script, which no question must hold up."""
    from qtpy.QtCore import QCoreApplication, QThread

    thread = QThread.currentThread()
    return QCoreApplication.instance() is not None and thread is not None and thread.loopLevel() > 0


def chosen_in_window() -> bool:
    """Return whether napari's own dialog, menu or drop made the call that is under way, and wants no layers back.

    Code that is typed into napari's console runs within the event loop as well, and does want them.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name in ("_qt_open", "handle_gui_reading"):
            return True
    return False


def main_window(viewer: Viewer) -> QWidget | None:
    """Return the window of a viewer, for dialogs to belong to."""
    return getattr(viewer.window, "_qt_window", None)


def drop_places(viewer: Viewer) -> list[QWidget]:
    """Return the widgets that take files dropped on the image: the canvas, and the welcome page over it."""
    from qtpy.QtWidgets import QWidget

    window = main_window(viewer)
    centre = getattr(window, "centralWidget", lambda: None)()
    if not isinstance(centre, QWidget):
        return []
    # Fields for numbers take drops as well, of text.
    takers = [one for one in centre.findChildren(QWidget) if one.acceptDrops()]
    return [one for one in takers if one.parent() is centre or hasattr(one, "urls_dropped")]


def scale_bar(viewer: Viewer) -> Any:
    """Return the model of the scale bar on the canvas: moved in napari 0.9."""
    canvas = getattr(viewer, "canvas", None)
    return canvas.overlays.scale_bar if canvas is not None else viewer.scale_bar


def camera(viewer: Viewer) -> Any:
    """Return the model of the camera: moved in napari 0.9."""
    scene = getattr(viewer, "scene", None)
    return scene.camera if scene is not None else viewer.camera


def draw_surfaces(viewer: Viewer) -> list[Any]:
    """Return the widgets of a viewer that OpenGL draws on; each has Qt's `makeCurrent`."""
    from qtpy.QtWidgets import QWidget

    window = main_window(viewer)
    # By what they can do: the bindings keep their class in different modules.
    return [one for one in window.findChildren(QWidget) if hasattr(one, "makeCurrent")] if window is not None else []


def remove_in_own_context(viewer: Viewer) -> Callable[[], None]:
    """See to it that a layer's drawing is undone in the OpenGL context that it was done in; return what ends that.

    Deleted while the context of another window or of Qt's own drawing is the current one, the buffers of a layer are
    taken from what bears their numbers there, and the next draw of the canvas ends the program: seen with napari 0.9.2
    and PyQt5, in 6 of 6 runs of adding and removing layers, and in none of 5 with this.
    """
    surfaces = draw_surfaces(viewer)

    def make_current(_event: object = None) -> None:
        for surface in surfaces:
            # RuntimeError: the window went meanwhile.
            with contextlib.suppress(RuntimeError):
                if surface.isValid():
                    surface.makeCurrent()

    viewer.layers.events.removing.connect(make_current, position="first")
    return lambda: viewer.layers.events.removing.disconnect(make_current)


def remove_soon(viewer: Viewer, layer: Any) -> None:
    """Remove a layer once napari is done with what it is at.

    Taken away while another layer is being added, a layer's drawing is left half undone: OpenGL then ends the program.
    """
    from qtpy.QtCore import QTimer

    layer.visible = False
    QTimer.singleShot(0, lambda: viewer.layers.remove(layer) if layer in viewer.layers else None)


def frame_sliders(window: QWidget) -> list[Any]:
    """Return the slider of time of each row of sliders in a napari window; each has `fps`, frames a second.

    The playback rate is in no public interface but that of the settings on the disk, which are not ours to change.
    """
    try:
        from napari._qt.widgets.qt_dims_slider import QtDimSliderWidget
    except ImportError:  # a later napari: playback keeps the rate of the settings
        return []
    return [slider for slider in window.findChildren(QtDimSliderWidget) if slider.axis == time_axis(slider.dims)]


def unclip_frame_numbers(window: QWidget) -> None:
    """See to it that the numbers beside the sliders of a napari window can be read whole.

    napari sets their width by the text alone, and its style then pads them: the last digit is cut. Another theme sets
    a least width of its own, to which a narrow window squeezes them.
    """
    from qtpy.QtWidgets import QLabel, QLineEdit

    for label in window.findChildren(QLabel, "slice_label"):
        label.setStyleSheet("padding: 0px; margin: 0px;")
    for field in window.findChildren(QLineEdit, "slice_label"):
        field.setMinimumWidth(field.maximumWidth())


def default_frame_rate() -> float:
    """Return the playback rate of napari's settings, frames a second."""
    from napari.settings import get_settings

    return float(get_settings().application.playback_fps)


def theme_colours(viewer: Viewer) -> dict[str, str]:
    """Return the colours of the viewer's theme by name, as #rrggbb."""
    from napari.utils.theme import get_theme

    theme = get_theme(viewer.theme)
    names = (
        "canvas",
        "background",
        "foreground",
        "primary",
        "secondary",
        "highlight",
        "text",
        "warning",
        "error",
        "current",
    )
    return {name: _hex(getattr(theme, name)) for name in names}


def _hex(colour: Any) -> str:
    return str(colour.as_hex(format="long")) if hasattr(colour, "as_hex") else str(colour)
