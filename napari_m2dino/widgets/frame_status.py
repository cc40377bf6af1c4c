"""Frame and time in the window's status bar, and a playback as fast as the loop was taken."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from weakref import ref

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QMainWindow, QWidget

from napari_m2dino.desk import Desk
from napari_m2dino.loop_facts import frame_rate, frame_words
from napari_m2dino.napari_compat import default_frame_rate, frame_sliders, unclip_frame_numbers


class FrameStatus:
    """Follows the desk in the window that holds `dock`.

    It has a place of its own in the status bar, so that napari's texts there and ours do not overwrite each other. The
    playback rate is set on the sliders, never in napari's settings, when a loop comes on the desk: what a person then
    sets by hand stays until another loop does.
    """

    def __init__(self, desk: Desk, dock: QWidget) -> None:
        self.desk = desk
        self._dock = dock
        # Weak, for holding on to it would keep a closed window alive.
        self._window: Callable[[], QMainWindow | None] = lambda: None
        self._rate_set: float | None = None
        self.label = QLabel()
        self.label.setObjectName("m2dino frame")
        self.label.setContentsMargins(8, 0, 8, 0)
        desk.loop_changed.connect(self.follow_loop)
        desk.frame_changed.connect(self.refresh)
        desk.viewer.dims.events.ndim.connect(self._sliders_changed)
        self._after_theme = QTimer(dock)
        self._after_theme.setSingleShot(True)
        self._after_theme.setInterval(0)  # once napari has restyled its window
        self._after_theme.timeout.connect(self._unclip)
        desk.viewer.events.theme.connect(self._theme_changed)

    def follow_loop(self) -> None:
        """Take on the loop on the desk."""
        rate = frame_rate(self.desk.loop) if self.desk.loop is not None else None
        if rate is not None:
            self._play_at(rate)
        elif self._rate_set is not None:
            self._play_at(default_frame_rate())
            self._rate_set = None
        self.refresh()

    def refresh(self, _frame: int = -1) -> None:
        """Show which frame it is, and its time."""
        loop = self.desk.loop
        self._find_window()
        self.label.setVisible(loop is not None and len(loop) > 1)
        if loop is not None:
            self.label.setText(frame_words(loop, self.desk.frame))

    def close(self) -> None:
        """Leave the status bar, and give the sliders the rate of napari's settings back."""
        self.desk.viewer.dims.events.ndim.disconnect(self._sliders_changed)
        self.desk.viewer.events.theme.disconnect(self._theme_changed)
        # RuntimeError: the whole window went, and its sliders and status bar with it.
        with contextlib.suppress(RuntimeError):
            if self._rate_set is not None:
                self._play_at(default_frame_rate())
            self.label.hide()
            self.label.setParent(None)
            self.label.deleteLater()

    def _sliders_changed(self, _event: object) -> None:
        # napari makes sliders anew when the number of axes changes.
        self._unclip()
        if self._rate_set is not None:
            self._play_at(self._rate_set)

    def _theme_changed(self, _event: object) -> None:
        self._after_theme.start()

    def _unclip(self) -> None:
        if (window := self._window()) is not None:
            unclip_frame_numbers(window)

    def _play_at(self, rate: float) -> None:
        self._rate_set = rate
        self._find_window()
        window = self._window()
        for slider in frame_sliders(window) if window is not None else []:
            slider.fps = rate

    def _find_window(self) -> None:
        """Find the main window once the dock is in it, and take a place in its status bar."""
        if self._window() is not None:
            return
        parent = self._dock.parentWidget()
        while parent is not None and not isinstance(parent, QMainWindow):
            parent = parent.parentWidget()
        bar = parent.statusBar() if parent is not None else None
        if parent is not None and bar is not None:
            self._window = ref(parent)
            bar.addPermanentWidget(self.label)
            unclip_frame_numbers(parent)
