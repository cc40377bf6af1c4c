"""A person at the real window who knows the truth: looks at frames, corrects those below the bar, and is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from m2dino.scoring.masks import pixel_dice
from qtpy.QtCore import Qt

from napari_m2dino.accepting import offers, suggested
from napari_m2dino.tour.hand import Hand
from napari_m2dino.widgets.dock import M2DinoDock
from tests.benchmarks.session.cost import Tally
from tests.benchmarks.session.outlines import Bools, polygons, strokes
from tests.benchmarks.session.pen import Pen
from tests.benchmarks.session.watch import Watch

PAINT, ERASE, POLYGON, FILL = Qt.Key.Key_2, Qt.Key.Key_1, Qt.Key.Key_3, Qt.Key.Key_4
MOST_STROKES = 8
LEAST_GAIN = 0.005
"""Dice that a stroke has to gain, or a person sees that drawing anew is quicker."""
REDRAW_BELOW = 0.6
"""Dice below which a person wipes off what is there and draws anew."""


@dataclass
class Frame:
    """What became of a frame.

    Attributes
    ----------
    before, after : float
        Dice against the truth, as found and as left.
    corrected : bool
    """

    before: float
    after: float
    corrected: bool


class Person:
    """Drives the window with `pen`; whatever is pressed, clicked or drawn is in `tally`."""

    def __init__(self, dock: M2DinoDock, watch: Watch, truth: Mapping[int, Bools], bar: float) -> None:
        self.dock, self.watch, self.truth, self.bar = dock, watch, truth, bar
        self.desk = dock.workshop.desk
        self.hand = Hand(dock.viewer, dock)
        self.pen = Pen(self.hand, watch)
        self.tally = Tally()
        self.frames: dict[int, Frame] = {}
        self._mode: Qt.Key | None = None
        self._radius = 0.0

    # -- single actions ----------------------------------------------------------------------------------------------
    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key on the image, and wait for what the window says to it."""
        self.tally.key()
        self.pen.press(key, modifier)
        self.watch.pause(0.02)

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Wait for the machine."""
        began = time.perf_counter()
        self.watch.wait(until, what)
        self.tally.waited_s += time.perf_counter() - began

    def value(self, frame: int) -> Bools:
        """Return what stands on a frame."""
        layer = self.layer
        if layer is None:
            return np.zeros_like(self.truth[frame])
        return np.asarray(layer.data[frame]) == 1

    @property
    def layer(self) -> Any:
        """The layer of the results; None before there is one."""
        result = self.desk.result
        return None if result is None else result.layer

    # -- the frame shown ---------------------------------------------------------------------------------------------
    def decide(self) -> bool:
        """Look at the frame shown, correct it if below the bar, accept it; return whether it was corrected."""
        frame = self.desk.frame
        self.tally.look()
        before = pixel_dice(self.value(frame), self.truth[frame])
        wrong = before < self.bar
        if wrong:
            self.correct(frame)
        self.frames[frame] = Frame(before, pixel_dice(self.value(frame), self.truth[frame]), bool(wrong))
        self.press(Qt.Key.Key_A)
        session = self.desk.session
        assert session is not None
        self.watch.wait(lambda: session.is_decided(frame), f"frame {frame} to be accepted")
        return wrong

    def accept_suggested(self) -> None:
        """Accept together, unseen, what the window suggests, if it suggests anything."""
        together, session = self.dock.review.together, self.desk.session
        assert session is not None
        offer = suggested(offers(session))
        if offer is None:
            return
        self.tally.look()  # reading what speaks for it and making up one's mind takes as long as a frame
        self.tally.click()
        together.fill()
        self.tally.click()
        next(action for action in together.menu.actions() if "(suggested)" in action.text()).trigger()
        self.watch.wait(lambda: all(session.is_decided(frame) for frame in offer.frames), "frames accepted together")
        for frame in offer.frames:
            score = pixel_dice(self.value(frame), self.truth[frame])
            self.frames[frame] = Frame(score, score, False)

    def correct(self, frame: int) -> None:
        """Bring a frame up to the bar: by strokes along the edge, or anew by a polygon."""
        if self.layer is None or pixel_dice(self.value(frame), self.truth[frame]) < REDRAW_BELOW:
            self._draw(frame)
        for _ in range(MOST_STROKES):
            current, truth = self.value(frame), self.truth[frame]
            if pixel_dice(current, truth) >= self.bar:
                return
            missing, surplus = truth & ~current, current & ~truth
            inside = bool(missing.sum() >= surplus.sum())
            ways = strokes(truth, missing if inside else surplus, self._brush(truth), inside)
            if not ways:
                break  # it lies deeper than the brush reaches along the edge
            self._use(PAINT if inside else ERASE)
            self._stroke(ways[0])
            if pixel_dice(self.value(frame), truth) < pixel_dice(current, truth) + LEAST_GAIN:
                break
        if pixel_dice(self.value(frame), self.truth[frame]) < self.bar:
            self._draw(frame)

    def _draw(self, frame: int) -> None:
        """Draw the structure as polygons; what is there is emptied with napari's fill tool first."""
        if self.layer is None:
            self.press(Qt.Key.Key_D)  # makes an empty layer
            self._mode = PAINT
        truth = self.truth[frame]
        if self.value(frame).any():
            self._empty(frame)
        self._use(POLYGON)
        for corners in polygons(truth, self.bar):
            for y, x in corners:
                self.tally.click("corners")
                self.pen.click_at(y, x)
            self.press(Qt.Key.Key_Return)

    def _empty(self, frame: int) -> None:
        """Fill each piece with nothing: choose label 0, click the pieces, choose label 1 again."""
        self.tally.click()
        self.layer.selected_label = 0
        self._use(FILL)
        for _ in range(MOST_STROKES):
            there = np.argwhere(self.value(frame))
            if not len(there):
                break
            y, x = there[len(there) // 2]
            self.tally.click()
            self.pen.click_at(float(y), float(x))
            self.watch.pause(0.1)
        self.tally.click()
        self.layer.selected_label = 1

    def _use(self, tool: Qt.Key) -> None:
        if self._mode is not tool:
            self.press(tool)
            self._mode = tool

    def _brush(self, truth: Bools) -> float:
        """Set the brush once, to a third of the structure's width, and return its radius."""
        if not self._radius:
            from scipy.ndimage import distance_transform_edt

            self._radius = max(2.0, round(float(distance_transform_edt(truth).max()) / 3))
            self.tally.click()
            self.layer.brush_size = 2 * self._radius
        return self._radius

    def _stroke(self, way: Any) -> None:
        if len(way) == 1:
            way = np.repeat(way, 2, axis=0)
        self.tally.stroke([self.pen.on_screen(y, x) for y, x in way])
        self.pen.stroke([(float(y), float(x)) for y, x in way])
        self.watch.pause(0.1)
