"""Editing the frame shown by one press: clean a mask, copy a neighbour's label, say that a point is not visible."""

from __future__ import annotations

from collections.abc import Callable

from m2dino.correct.mask_operations import fill_holes, largest_component, smooth
from m2dino.errors import UsageError
from m2dino.values import Mask, Value

from napari_m2dino.applying import edit
from napari_m2dino.desk import Desk
from napari_m2dino.layers import is_blank, same_value
from napari_m2dino.result_layers import ResultLayer
from napari_m2dino.result_layers.points import KeypointLayer

Clean = Callable[[Mask], Mask]


class Editing:
    """What the buttons and keys of the section Edit do to the frame shown."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    # -- masks -------------------------------------------------------------------------------------------------------
    def fill_holes(self) -> None:
        """Fill background that a class surrounds."""
        self._clean(fill_holes, "There are no holes to fill on frame {frame}.")

    def smooth(self) -> None:
        """Smooth the outlines."""
        self._clean(smooth, "The outlines on frame {frame} are smooth already.")

    def largest(self) -> None:
        """Keep the largest piece of each class."""
        self._clean(largest_component, "Each class on frame {frame} is in one piece already.")

    def _clean(self, clean: Clean, unchanged: str) -> None:
        if not self.desk.frame_is_seen():
            return
        result, frame = self.desk.result, self.desk.frame
        value = self._value(result, frame)
        if result is None or not isinstance(value, Mask) or is_blank(value):
            self.desk.tell(f"There is no mask on frame {frame} yet: predict it, or paint one.")
            return
        cleaned = clean(value)
        if same_value(cleaned, value):
            self.desk.tell(unchanged.format(frame=frame))
        else:
            edit(result, frame, cleaned)

    # -- every kind --------------------------------------------------------------------------------------------------
    def copy_from(self, step: int) -> None:
        """Put the label of the frame before (-1) or after (+1) on the frame shown, in place of what stands there."""
        result, frame = self.desk.result, self.desk.frame
        other = frame + step
        if result is None or not self.desk.frame_is_seen():
            return
        if not 0 <= other < len(result.loop):
            self.desk.tell(f"There is no frame {'before' if step < 0 else 'after'} this one.")
            return
        value = self._value(result, other)
        if value is None or is_blank(value):
            self.desk.tell(f"There is nothing on frame {other} to copy.")
            return
        self.desk.show_result(result)
        edit(result, frame, value)
        self.desk.tell(f"Copied from frame {other}: correct it, then accept (A).")

    def _value(self, result: ResultLayer | None, frame: int) -> Value | None:
        try:
            return None if result is None else result.value(frame)
        except UsageError as error:
            self.desk.tell(str(error), "warning")
            return None

    # -- points ------------------------------------------------------------------------------------------------------
    def hide_points(self) -> None:
        """Say that the selected points, or the next one to place, are not visible; those said so come back."""
        result, frame = self.desk.result, self.desk.frame
        if not isinstance(result, KeypointLayer) or not result.is_shown(self.desk.viewer):
            self.desk.tell("Only measurement points can be marked as not visible: choose such a task and place them.")
            return
        if not self.desk.frame_is_seen():
            return
        try:
            # napari selects the point just placed: while placing, one outside the image or the next one is meant.
            chosen = [] if result.placing else result.selected(frame)
            chosen = chosen or result.outside(frame)
            names = chosen or [name for name in [result.next_to_place(frame)] if name is not None]
            if not names:
                self.desk.tell(
                    "All points are placed: select the one that is not visible (S, then click it), then press H."
                )
                return
            for name in names:
                result.set_hidden(frame, name, True)
        except UsageError as error:
            self.desk.tell(str(error), "warning")
            return
        self.desk.tell(
            f"Not visible on frame {frame}: {', '.join(names)}. Click its name in the dock to bring it back."
        )
