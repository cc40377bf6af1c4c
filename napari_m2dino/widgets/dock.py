"""The M2DINO dock: four sections in the order of the work, and one line that says what just happened."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QHideEvent
from qtpy.QtWidgets import QApplication, QLabel, QScrollArea, QVBoxLayout, QWidget

from napari_m2dino.errors import Message
from napari_m2dino.key_binding import KeyBinder
from napari_m2dino.loop_layer import loop_of
from napari_m2dino.napari_compat import drop_places, remove_in_own_context, text_overlay, theme_colours
from napari_m2dino.opening.canvas_drops import CanvasDrops, local_paths
from napari_m2dino.result_layers import result_of
from napari_m2dino.widgets.edit_section import EditSection
from napari_m2dino.widgets.export_dialog import ask_for_export, ask_for_import
from napari_m2dino.widgets.frame_status import FrameStatus
from napari_m2dino.widgets.improve_section import ImproveSection
from napari_m2dino.widgets.keys_dialog import KeysDialog
from napari_m2dino.widgets.loop_section import LoopSection
from napari_m2dino.widgets.measure_section import MeasureSection
from napari_m2dino.widgets.opening_bar import OpeningBar
from napari_m2dino.widgets.predict_section import PredictSection
from napari_m2dino.widgets.resume_bar import ResumeBar
from napari_m2dino.widgets.review_section import ReviewSection
from napari_m2dino.widgets.style import LEVEL_COLOURS, Words, row, set_main, sheet, small_button
from napari_m2dino.widgets.task_section import TaskSection
from napari_m2dino.workshop import Workshop

if TYPE_CHECKING:
    from napari.viewer import Viewer

WIDTH = 360
FOOT = 8
"""Room below the last section, px."""


class M2DinoDock(QWidget):
    """The plugin's dock widget.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    dataset : Path, optional
        Folder of the corrections; by default the user's (see `places.dataset_folder`).
    """

    def __init__(self, napari_viewer: Viewer, dataset: Path | None = None) -> None:
        super().__init__()
        self.setObjectName("m2dino")
        self.viewer = napari_viewer
        self.workshop = workshop = Workshop(napari_viewer, dataset)
        desk = workshop.desk
        self.resume = ResumeBar(workshop.resuming)
        self.loop = LoopSection(desk, workshop.tools)
        set_main(self.loop.sample, workshop.resuming.offer is None)
        self.opening = OpeningBar(workshop.opening)
        self.loop.body.insertWidget(0, self.opening)
        self.task = TaskSection(desk, workshop.predicting)
        self.predict = PredictSection(desk, workshop.predicting, workshop.keys)
        self.review = ReviewSection(desk, workshop.reviewing, workshop.keys)
        self.edit = EditSection(workshop.hand, workshop.keys)
        self.measure = MeasureSection(desk, workshop.hand.measuring)
        self.improve = ImproveSection(desk, workshop.improving, workshop.promoting)
        self.status = FrameStatus(desk, self)
        self.keys = small_button("Keys…", "What each key does, and other keys for it")
        self.keys.clicked.connect(self.show_keys)
        self.binder = KeyBinder(workshop.keys, workshop.actions(), self._have_keys)
        self.message = Words("Open a loop, choose a task, and press “All frames”.", "message")
        self._lay_out()
        self.loop.wanted.connect(workshop.open_loops)
        self.loop.sample_wanted.connect(workshop.open_sample)
        self.task.checkpoint_wanted.connect(workshop.add_checkpoint)
        self.improve.folder_wanted.connect(workshop.move_dataset)
        self.edit.export_wanted.connect(self._ask_export)
        self.edit.import_wanted.connect(self._ask_import)
        workshop.hand.carrying.arrived.connect(workshop.reviewing.changed)
        workshop.hand.exchange.arrived.connect(workshop.reviewing.changed)
        desk.told.connect(self._tell)
        desk.session_changed.connect(self.binder.refresh)
        desk.layers_let_go.connect(self.binder.refresh)
        desk.session_changed.connect(self._say_what_to_press)
        workshop.predicting.arrived.connect(self._show_overlay)
        workshop.reviewing.changed.connect(self._show_overlay)
        workshop.predicting.changed.connect(self.review.refresh)
        workshop.improving.began.connect(self._show_training)
        workshop.improving.trained.connect(self._show_training)
        self._scroll_soon = QTimer(self)
        self._scroll_soon.setSingleShot(True)
        self._scroll_soon.setInterval(50)
        self._scroll_soon.timeout.connect(self._scroll_to_training)
        self._follows = False
        self.improve.grown.connect(self._follow)
        bar = self.area.verticalScrollBar()
        assert bar is not None
        bar.actionTriggered.connect(self._let_go)
        napari_viewer.layers.events.inserted.connect(self.binder.refresh)
        napari_viewer.events.theme.connect(self._restyle)
        self._restyle()
        self._draw_as_before = remove_in_own_context(napari_viewer)
        self.drops = CanvasDrops(drop_places(napari_viewer), workshop.open_loops)
        workshop.start()
        self._end = partial(_end, workshop)
        self.destroyed.connect(self._end)
        application = QApplication.instance()
        assert application is not None
        self._application = application
        application.aboutToQuit.connect(self._end)

    def _lay_out(self) -> None:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(10, 8, 10, FOOT)
        column.setSpacing(11)
        column.addWidget(self.resume)
        for section in (self.loop, self.task, self.predict, self.review, self.edit, self.measure, self.improve):
            column.addWidget(section)
        column.addStretch(1)
        self.area = scroll = QScrollArea()
        scroll.setWidget(inner)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        notice = QLabel("For research use, not for diagnosis")
        notice.setAlignment(Qt.AlignmentFlag.AlignCenter)
        notice.setObjectName("notice")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 4)
        layout.setSpacing(4)
        layout.addWidget(scroll, 1)
        below = QVBoxLayout()
        below.setContentsMargins(10, 0, 10, 0)
        below.addWidget(self.message)
        below.addLayout(row(notice, self.keys, stretch=(1, 0)))
        layout.addLayout(below)
        self.setMinimumWidth(WIDTH)
        self.setAcceptDrops(True)
        self.resize(WIDTH, 900)

    # -- looks -------------------------------------------------------------------------------------------------------
    def _restyle(self, _event: object = None) -> None:
        colours = theme_colours(self.viewer)
        self.setStyleSheet(sheet(colours))
        self.review.strip.set_marker_colour(colours["text"])
        self.loop.set_link_colour(colours["text"])
        self.review.classes.set_ink(colours["text"])
        self.improve.set_ink(colours["text"])
        self.measure.plot.set_ink(colours["text"])

    def _tell(self, message: Message) -> None:
        self.message.setText(message.text)
        self.message.setStyleSheet(f"border-left: 4px solid {LEVEL_COLOURS[message.level]};")
        if message.level == "error":
            from napari.utils.notifications import show_error

            show_error(message.text)

    def _say_what_to_press(self) -> None:
        desk = self.workshop.desk
        if desk.loop is None:
            return
        known = desk.checkpoint is not None and desk.checkpoint.report(desk.task) is not None
        if known and desk.outdated:
            self._tell(Message(f"Press “All {len(desk.loop)} frames” to see what the model finds."))
        elif desk.task is not None and not known:
            self._tell(Message("Press “New label” to label by hand, or choose a task that the model knows."))

    def _show_training(self, _path: str = "") -> None:
        """Keep the training in view, on screens too low for the whole dock, until a person scrolls elsewhere."""
        self._follows = True
        self._scroll_soon.start()

    def _follow(self) -> None:
        if self._follows:
            self._scroll_soon.start()

    def _let_go(self) -> None:
        self._follows = False

    def _scroll_to_training(self) -> None:
        """Bring the last line of the section into view, and as much above it as there is room for."""
        bar, view = self.area.verticalScrollBar(), self.area.viewport()
        if bar is not None and view is not None:
            end = self.improve.mapTo(self.area.widget(), QPoint(0, self.improve.height())).y() + FOOT
            if end > bar.value() + view.height():
                bar.setValue(end - view.height())

    def _show_overlay(self) -> None:
        """Write the class of the frame on the image, and what is carried or filled in; else the layer says it all."""
        overlay = text_overlay(self.viewer)
        words = self.workshop.class_in_words() or self.workshop.hand.origin_in_words()
        if overlay.visible != bool(words):
            overlay.visible = bool(words)
        if overlay.text != words:
            overlay.text = words
            overlay.position, overlay.font_size = "top_center", 13

    # -- files of other programs -------------------------------------------------------------------------------------
    def _ask_export(self) -> None:
        task = self.workshop.desk.task
        wish = ask_for_export(task, self) if task is not None else None
        if wish is not None:
            self.workshop.hand.exchange.export(wish)

    def _ask_import(self) -> None:
        task = self.workshop.desk.task
        wanted = ask_for_import(task, self) if task is not None else None
        if wanted is not None:
            self.workshop.hand.exchange.import_labels(*wanted)

    # -- keys --------------------------------------------------------------------------------------------------------
    def show_keys(self) -> None:
        """Show what each key does, and take other keys for it."""
        dialog = KeysDialog(self.workshop.keys, self)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _have_keys(self) -> list[Any]:
        """Return what our keys are bound on: the viewer, and our own layers."""
        return [self.viewer, *(layer for layer in self.viewer.layers if loop_of(layer) or result_of(layer))]

    # -- drag and drop -----------------------------------------------------------------------------------------------
    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        if event is not None and local_paths(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        if event is not None and (paths := local_paths(event.mimeData())):
            event.acceptProposedAction()
            self.workshop.open_loops(paths)

    # -- the end -----------------------------------------------------------------------------------------------------
    def close_down(self) -> None:
        """Stop threads and the training, save what waits, and let go of the viewer; safe to call twice."""
        if self.workshop.closed:
            return
        self.viewer.layers.events.inserted.disconnect(self.binder.refresh)
        self.viewer.events.theme.disconnect(self._restyle)
        self.drops.close()
        self._draw_as_before()
        self.loop.close_down()
        self.measure.close_down()
        self.status.close()
        self.binder.close()
        text_overlay(self.viewer).visible = False
        self.workshop.close()
        # The application would keep the workshop, and with it the viewer and its loops, to the end of the program.
        self._application.aboutToQuit.disconnect(self._end)

    def event(self, event: QEvent | None) -> bool:
        # napari takes the dock's content out of its frame when the frame is closed, and says nothing else.
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_down()
        return bool(super().event(event))

    def hideEvent(self, event: QHideEvent | None) -> None:
        # Hidden because the whole window is closing, and not because of another tab or a minimised window.
        window = self.window()
        if (
            event is not None
            and not event.spontaneous()
            and window is not self
            and window is not None
            and window.isHidden()
        ):
            self.close_down()
        super().hideEvent(event)


def _end(workshop: Workshop, _object: QObject | None = None) -> None:
    """Close the workshop of a dock that is gone already; touches no widget."""
    workshop.close()
