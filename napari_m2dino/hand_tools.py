"""What a person's hand is helped with, put together: editing, carrying, measuring, files of other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_m2dino.carrying import Carrying
from napari_m2dino.class_keys import ClassKeys
from napari_m2dino.desk import Desk
from napari_m2dino.editing import Editing
from napari_m2dino.exporting import Exchange
from napari_m2dino.measuring import Measuring
from napari_m2dino.origins import in_words


class HandTools:
    """The tools of the sections Edit and Measure.

    Parameters
    ----------
    desk : Desk
    folder : callable
        Returns the dataset folder in use.
    choose_class : callable
        Takes a person's choice of class for the frame shown.
    """

    def __init__(self, desk: Desk, folder: Callable[[], Path], choose_class: Callable[[int], None]) -> None:
        self.desk = desk
        self.editing = Editing(desk)
        self.carrying = Carrying(desk)
        self.measuring = Measuring(desk)
        self.exchange = Exchange(desk, folder)
        self.class_keys = ClassKeys(desk, choose_class)

    def actions(self) -> dict[str, Callable[[], None]]:
        """Return what the shortcuts of these tools do."""
        return {
            "carry": self.carrying.carry,
            "fill_between": self.carrying.fill,
            "hide_point": self.editing.hide_points,
        }

    def origin_in_words(self) -> str:
        """Return where the proposal shown comes from, if not from a model, while nobody has decided on it."""
        session, frame = self.desk.session, self.desk.frame
        if session is None or session.is_decided(frame) or frame in session.unsaved():
            return ""
        return in_words(session.maker(frame))

    def close(self) -> None:
        """End what is under way; safe to call twice."""
        for tool in (self.class_keys, self.carrying, self.measuring, self.exchange):
            tool.close()
