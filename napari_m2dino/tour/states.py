"""The states that the dock can be in, one after the other, but for those of a training, which the tour goes through."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from m2dino.values import Box, Keypoints, Mask, Value
from numpy.typing import NDArray
from qtpy.QtCore import Qt

from napari_m2dino.applying import edit
from napari_m2dino.tour.hand import Hand, TourError

TASK = "carotid_artery"
BOXES, POINTS, CLASSES = "carotid_artery_det", "IUGC", "breast_2cls"


class States:
    """Brings the window into each state; `run` yields the name of each."""

    def __init__(self, hand: Hand, truth: dict[int, NDArray[np.uint8]]) -> None:
        self.hand = hand
        self.truth = truth
        self.dock = hand.dock
        self.workshop = hand.dock.workshop
        self.desk = self.workshop.desk

    def run(self) -> Iterator[str]:
        """Go from state to state."""
        dock, hand = self.dock, self.hand
        hand.wait(lambda: bool(self.workshop.predicting.device), "the model")
        yield "nothing open"
        self.workshop.open_sample()
        hand.wait(lambda: self.desk.loop is not None, "the sample loop")
        self._choose(TASK)
        yield "loop open"
        hand.click(dock.predict.all_frames)
        hand.wait(lambda: (progress := self.workshop.predicting.progress) is not None and progress.done > 3, "progress")
        yield "predicting"
        hand.wait(lambda: not self.workshop.predicting.running, "the predictions", 300)
        yield "predicted"
        yield from self._reviewed()
        yield from self._carried()
        yield from self._other_kinds()

    def _reviewed(self) -> Iterator[str]:
        """Go through what a person can make of a frame."""
        dock, hand = self.dock, self.hand
        dock.review.moves_on.setChecked(False)
        self.desk.go_to(5)
        self._put(5, self._mask(5))
        yield "frame changed"
        hand.press(Qt.Key.Key_A)
        yield "frame edited"
        self.desk.go_to(6)
        hand.press(Qt.Key.Key_A)
        yield "frame accepted"
        self.desk.go_to(7)
        hand.press(Qt.Key.Key_X)
        yield "frame rejected"
        hand.click(dock.review.undo)
        yield "undone"
        result = self.desk.result
        if result is not None and result.layer is not None:
            result.layer.data[8, 20:60, 20:60] = 3
            self.desk.go_to(8)
            hand.press(Qt.Key.Key_A)
            yield "a label that is no class"
            result.layer.data[8, 20:60, 20:60] = 0
        dock.measure.arrow.setChecked(True)
        hand.pause(1.5)
        dock.area.ensureWidgetVisible(dock.measure)
        yield "measured"
        dock.measure.arrow.setChecked(False)

    def _carried(self) -> Iterator[str]:
        """Carry and fill in."""
        hand = self.hand
        self.desk.go_to(5)
        carrying = self.workshop.hand.carrying
        hand.press(Qt.Key.Key_G)
        hand.wait(lambda: carrying.errand.done > 0 or not carrying.errand.running, "the first frame carried")
        yield "carrying"
        hand.wait(lambda: not carrying.errand.running, "the end of carrying", 300)
        self.desk.go_to(4)
        yield "carried"
        self.desk.go_to(20)
        self._put(20, self._mask(20))
        hand.press(Qt.Key.Key_A)
        hand.press(Qt.Key.Key_I)
        hand.wait(lambda: not carrying.errand.running, "the end of filling in", 300)
        self.desk.go_to(14)
        yield "filled in"

    def _other_kinds(self) -> Iterator[str]:
        """Show boxes, points and classes."""
        loop = self.desk.loop
        assert loop is not None
        self._choose(BOXES)
        self.hand.click(self.dock.predict.this_frame)
        self.hand.wait(lambda: not self.workshop.predicting.running, "the box")
        self._put(self.desk.frame, Box(200, 200, 320, 360))
        yield "box changed"
        self._choose(POINTS)
        self.hand.click(self.dock.review.new_label)
        points = np.array([[200.0, 220], [260, 330], [np.nan, np.nan]])
        self._put(self.desk.frame, Keypoints(points))
        yield "points by hand, a task that the model does not know"
        self._choose(CLASSES)
        self.hand.click(self.dock.predict.this_frame)
        self.hand.wait(lambda: not self.workshop.predicting.running, "the class")
        yield "class predicted"
        self.hand.press(Qt.Key.Key_1)
        yield "class chosen"

    def _choose(self, task_id: str) -> None:
        self.desk.choose_task(self.desk.tasks[task_id])
        self.hand.pause(0.3)

    def _mask(self, frame: int) -> Mask:
        if frame not in self.truth:
            raise TourError(f"the true mask of frame {frame} is needed: run this in a checkout, or give --truth")
        return Mask(self.truth[frame])

    def _put(self, frame: int, value: Value) -> None:
        """Put a value on a frame as a person's own change."""
        result = self.desk.result
        assert result is not None
        self.desk.show_result(result)
        edit(result, frame, value)
        self.hand.pause(0.3)
