"""Section Loop: which loop is on the desk, what is known of it, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from m2dino.cine.loop import CineLoop
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAction, QCheckBox, QFileDialog, QLabel, QMenu, QSizePolicy

from napari_m2dino.desk import Desk
from napari_m2dino.loop_facts import is_by_hand, scale_words, size_words, time_words
from napari_m2dino.loop_tools import LoopTools
from napari_m2dino.opening.file_kinds import dialog_filter
from napari_m2dino.widgets.calibration_form import CalibrationForm
from napari_m2dino.widgets.copy_dialog import ask_for_copy
from napari_m2dino.widgets.style import Section, Words, button, row, set_main, small_button

_MOST_MOMENTS = 12


class LoopSection(Section):
    """Name, size, time and scale of the loop. Emits `wanted(paths)` for files to open, and `sample_wanted`."""

    wanted = Signal(object)
    sample_wanted = Signal()

    def __init__(self, desk: Desk, tools: LoopTools) -> None:
        super().__init__("Loop")
        self.desk = desk
        self.tools = tools
        self.name = Words("No loop yet", "name")
        self.facts = Words()
        self.time = Words()
        self.scale = Words()
        self.moments = _Links()
        self.form = CalibrationForm(tools.calibrating)
        self.inside = QCheckBox("Predict inside the image area only")
        self.inside.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.outline = small_button("Outline", "Show where the image area is")
        self.outline.setCheckable(True)
        self.calibrate = small_button("Calibrate…", "Set the scale by hand: a line over the depth scale and its length")
        self.forget = small_button("Forget scale", "Forget the scale set by hand: back to what the file says")
        self.copy = small_button("De-identified copy…", "Write a copy without what identifies the patient")
        self.open = small_button("Open…", "Open a DICOM cine, a video, a folder of images, or the sample loop")
        self.sample = button("Open the sample loop", "A real carotid loop that the bundled model can label")
        set_main(self.sample, True)
        self._lay_out()
        self._connect()
        self.refresh()

    def _lay_out(self) -> None:
        menu = QMenu(self.open)
        for text, action in (
            ("File…", self._ask_file),
            ("Folder…", self._ask_folder),
            ("Sample loop", self.sample_wanted.emit),
        ):
            item = QAction(text, menu)
            item.triggered.connect(_without_argument(action))
            menu.addAction(item)
        self.open.setMenu(menu)
        self.corner.addWidget(self.open)
        for widget in (self.name, self.facts, self.time, self.moments, self.scale, self.form):
            self.body.addWidget(widget)
        area = row(self.inside, self.outline, stretch=(1, 0))
        actions = row(self.calibrate, self.forget, self.copy, stretch=(0, 0, 0))
        actions.addStretch(1)
        self.body.addLayout(area)
        self.body.addLayout(actions)
        self.body.addWidget(self.sample)

    def _connect(self) -> None:
        calibrating, area = self.tools.calibrating, self.tools.area
        self.sample.clicked.connect(self.sample_wanted)
        self.calibrate.clicked.connect(calibrating.begin)
        self.forget.clicked.connect(calibrating.forget)
        self.copy.clicked.connect(self._ask_copy)
        self.inside.clicked.connect(area.predict_inside_only)
        self.outline.clicked.connect(lambda on: area.show() if on else area.hide())
        self.moments.linkActivated.connect(lambda frame: self.desk.go_to(int(frame)))
        self.desk.loop_changed.connect(self.refresh)
        self.desk.scale_changed.connect(self.refresh)
        self.desk.viewer.layers.events.removed.connect(self._layer_removed)
        calibrating.changed.connect(self._show_actions)
        area.changed.connect(self._show_actions)
        self.tools.copying.changed.connect(self._show_actions)

    def refresh(self) -> None:
        """Show the loop on the desk."""
        loop = self.desk.loop
        self.name.say(loop.name if loop else "No loop yet")
        self.facts.say(
            size_words(loop) if loop else "Drop a DICOM cine, a video or a folder of images here, or open the sample."
        )
        self.time.say(time_words(loop) if loop else "")
        self.scale.say(scale_words(loop) if loop else "")
        self.moments.say(_moments(loop) if loop else "")
        self.sample.setVisible(loop is None)
        self._show_actions()

    def set_link_colour(self, colour: str) -> None:
        """Show links in a colour that the theme can be read on."""
        self.moments.set_colour(colour)

    def close_down(self) -> None:
        """Let go of the viewer."""
        self.desk.viewer.layers.events.removed.disconnect(self._layer_removed)

    def _layer_removed(self, _event: object) -> None:
        # A person may remove our outline like any other layer.
        self.outline.setChecked(self.tools.area.outlined)

    def _show_actions(self) -> None:
        loop, calibrating, area = self.desk.loop, self.tools.calibrating, self.tools.area
        region = area.offered()
        self.inside.setVisible(region is not None)
        self.outline.setVisible(region is not None)
        if region is not None:
            y_min, x_min, y_max, x_max = region
            self.inside.setToolTip(
                f"The file says that the image is {x_max - x_min} × {y_max - y_min} px of the frame; "
                "the network then sees nothing of what is around it"
            )
        self.inside.setChecked(area.inside_only)
        self.outline.setChecked(area.outlined)
        idle = loop is not None and not calibrating.active
        self.calibrate.setVisible(idle)
        self.forget.setVisible(idle and loop is not None and is_by_hand(loop))
        self.copy.setVisible(idle)
        self.copy.setEnabled(not self.tools.copying.running)

    def _ask_copy(self) -> None:
        loop = self.desk.loop
        if loop is None:
            return
        wanted = ask_for_copy(loop, self)
        if wanted is not None:
            self.tools.copying.start(loop, *wanted)

    def _ask_file(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Open loops", "", dialog_filter())
        if names:
            self.wanted.emit([Path(name) for name in names])

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a folder of loops or images")
        if name:
            self.wanted.emit([Path(name)])


class _Links(QLabel):
    """A line of links that wraps like the words around it."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

        self._text, self._colour = "", "#808080"

    def set_colour(self, colour: str) -> None:
        """Show the links in this colour: the style sheet does not reach them."""
        self._colour = colour
        self.say(self._text)

    def say(self, text: str) -> None:
        """Show rich text; an empty one takes no room."""
        self._text = text
        self.setText(text.replace("<a ", f'<a style="color: {self._colour}" '))
        self.setVisible(bool(text))


def _moments(loop: CineLoop) -> str:
    """Return the moments that the file names, as rich text: each frame is a link to it."""
    by_name: dict[str, list[int]] = {}
    for marker in loop.markers[:_MOST_MOMENTS]:
        by_name.setdefault(marker.name, []).append(marker.frame)
    parts = [
        f"{escape(name[:1].upper() + name[1:])} "
        + ", ".join(f'<a href="{frame}" title="Go to frame {frame}">{frame}</a>' for frame in frames)
        for name, frames in by_name.items()
    ]
    return " · ".join(parts) + (" …" if len(loop.markers) > _MOST_MOMENTS else "")


def _without_argument(action: Callable[[], None]) -> Callable[..., None]:
    return lambda *_: action()
