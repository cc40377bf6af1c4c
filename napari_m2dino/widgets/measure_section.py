"""Section Measure: the figures of the frame shown, one of them over the loop, and the table of all."""

from __future__ import annotations

from m2dino.measure.cycle import cycle_of
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QSizePolicy

from napari_m2dino.desk import Desk
from napari_m2dino.figure_words import in_words, most_telling, table_html, why_absent
from napari_m2dino.measuring import Figures, Measuring
from napari_m2dino.widgets.fold import FoldingSection
from napari_m2dino.widgets.series_plot import SeriesPlot
from napari_m2dino.widgets.style import Words, small_button
from napari_m2dino.widgets.table_dialog import TableDialog

_MOST = 8
_VARIES = ("cavity area", "left ventricular volume")
"""Ends of the names of figures that have an end-diastole and an end-systole: those of a chamber of the heart."""


class MeasureSection(FoldingSection):
    """Figures; nothing is measured while the section is folded and the table closed."""

    def __init__(self, desk: Desk, measuring: Measuring) -> None:
        super().__init__("Measure", is_open=False)
        self.desk = desk
        self.measuring = measuring
        self.nothing = Words()
        self.figures = QLabel()
        self.figures.setTextFormat(Qt.TextFormat.RichText)
        self.figures.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.figures.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.which = QComboBox()
        self.which.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.which.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.which.setToolTip("The figure shown over the loop")
        self.plot = SeriesPlot()
        self.whole = Words()
        self.table = small_button("Table…", "All figures of all frames, to look at and to save as CSV")
        self.corner.insertWidget(0, self.table)
        self.dialog: TableDialog | None = None
        for widget in (self.nothing, self.figures, self.which, self.plot, self.whole):
            self.inner.addWidget(widget)
        self.folded.connect(self._look)
        self.table.clicked.connect(self.open_table)
        self.which.activated.connect(self._show_plot)
        self.plot.chosen.connect(desk.go_to)
        measuring.changed.connect(self.refresh)
        desk.frame_changed.connect(self._show_frame)
        desk.session_changed.connect(self.refresh)
        self.refresh()

    def open_table(self) -> None:
        """Show the table beside the window; it follows what is measured until it is closed."""
        if self.dialog is None:
            self.dialog = TableDialog(self.desk, self.measuring, self)
            self.dialog.finished.connect(self._table_closed)
        self.dialog.show()
        self.dialog.raise_()
        self._look()

    def close_down(self) -> None:
        """Close the table."""
        if self.dialog is not None:
            self.dialog.close()

    def refresh(self) -> None:
        """Show the newest figures."""
        ready = self.desk.result is not None and self.desk.task is not None
        measurable = ready and self.desk.task is not None and self.desk.task.type != "classification"
        self.table.setEnabled(measurable)
        figures = self.measuring.figures
        names = figures.names() if figures else []
        if names != [self.which.itemText(i) for i in range(self.which.count())]:
            chosen = self.which.currentText()
            self.which.clear()
            self.which.addItems(names)
            self.which.setCurrentIndex(names.index(chosen) if chosen in names else 0 if names else -1)
        self.which.setVisible(bool(names))
        self.plot.setVisible(bool(names))
        self._show_frame()
        self._show_plot()
        whole = figures.whole if figures else ()
        self.whole.say("\n".join(in_words(one) for one in whole))
        self.whole.setToolTip("\n".join(f"{one.name}: {one.reason or one.inputs}" for one in whole))

    def _show_frame(self, _frame: int = -1) -> None:
        figures, frame = self.measuring.figures, self.desk.frame
        self.plot.show_frame(frame)
        here = figures.each.get(frame, ()) if figures else ()
        classifies = self.desk.task is not None and self.desk.task.type == "classification"
        why = "The class of a frame measures nothing." if classifies else f"Nothing to measure on frame {frame}."
        self.nothing.say("" if here else why)
        self.figures.setText(table_html(most_telling(here, _MOST)))
        self.figures.setVisible(bool(here))
        self.figures.setToolTip(why_absent(here))

    def _show_plot(self, _index: int = -1) -> None:
        figures, name = self.measuring.figures, self.which.currentText()
        if figures is None or not name:
            return
        series = figures.series(name)
        cycle = cycle_of(series, figures.loop.markers) if _has_cycle(figures, name) else None
        self.plot.show_series(series, figures.unit(name), len(figures.loop), cycle)

    def _look(self, _folded: bool = False) -> None:
        seen = self.is_open or (self.dialog is not None and self.dialog.isVisible())
        self.measuring.look(seen, whole_loop=seen)

    def _table_closed(self, _result: int) -> None:
        dialog, self.dialog = self.dialog, None
        if dialog is not None:
            dialog.deleteLater()
        self._look()


def _has_cycle(figures: Figures, name: str) -> bool:
    """Whether a figure goes up and down with the heart: one of a chamber, or of a loop that names both moments."""
    named = {marker.name for marker in figures.loop.markers}
    return name.endswith(_VARIES) or {"end-diastole", "end-systole"} <= named
