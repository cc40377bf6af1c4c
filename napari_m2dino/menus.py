"""What the menu items of the plugin do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.viewer import Viewer


def show_dock(viewer: Viewer) -> None:
    """Open the M2DINO dock, or show it if it is open."""
    dock, _ = viewer.window.add_plugin_dock_widget("napari-m2dino", "M2DINO")
    dock.show()
    dock.raise_()


def show_keys(viewer: Viewer) -> None:
    """Open the M2DINO dock and the table of its keys."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-m2dino", "M2DINO")
    dock.show()
    dock.raise_()
    widget.show_keys()
