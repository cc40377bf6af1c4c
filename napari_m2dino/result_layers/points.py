"""Keypoints: a Points layer in (t, y, x) whose points have names, shown beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from m2dino.data.drafts import Content
from m2dino.values import Keypoints, Value
from numpy.typing import NDArray

from napari_m2dino.contents import PlacedPoint, content_of_points, points_of_content
from napari_m2dino.layers import (
    free_name,
    keypoints_from_points,
    off_the_loop,
    on_frame,
    outside,
    points_from_keypoints,
)
from napari_m2dino.result_layers.base import ResultLayer
from napari_m2dino.result_layers.colours import NOT_A_CLASS, colour
from napari_m2dino.session import LoopSession

if TYPE_CHECKING:
    from napari.layers import Points
    from napari.viewer import Viewer

SURPLUS = "surplus"
"""Name of a point placed when all points of the task are there: seen, and refused on accepting."""


class KeypointLayer(ResultLayer):
    """Named points that a person places and drags."""

    layer: Points | None

    def __init__(self, session: LoopSession) -> None:
        super().__init__(session)
        self._hidden: dict[int, dict[str, tuple[float, float] | None]] = {}
        self._wanted: str | None = None
        self._rows = 0

    def value(self, frame: int) -> Keypoints | None:
        if self.layer is None:
            return None
        return keypoints_from_points(self.layer.data, self._names(), frame, self.task)

    def content(self, frame: int) -> Content | None:
        if self.layer is None:
            return None
        names, data = self._names(), self.layer.data
        return content_of_points([(names[row], data[row, 1], data[row, 2]) for row in on_frame(data[:, 0], frame)])

    def drawn(self) -> dict[int, Content]:
        if self.layer is None:
            return {}
        found: dict[int, list[PlacedPoint]] = {}
        for name, (t, y, x) in zip(self._names(), self.layer.data, strict=True):
            found.setdefault(round(float(t)), []).append((name, y, x))
        return {frame: content_of_points(points) for frame, points in found.items()}

    # -- names -------------------------------------------------------------------------------------------------------
    def placed(self, frame: int) -> list[str]:
        """Return the names of the points on a frame."""
        if self.layer is None:
            return []
        names = self._names()
        return [names[row] for row in on_frame(self.layer.data[:, 0], frame)]

    def hidden(self, frame: int) -> set[str]:
        """Return the names said to be not visible on a frame: just now, or when it was decided on."""
        hidden = set(self._hidden.get(frame, ()))
        saved = self.session.saved_value(frame)
        if isinstance(saved, Keypoints):
            missing = np.isnan(saved.points[:, 0])
            hidden |= {name for name, gone in zip(self.task.label_names, missing, strict=True) if gone}
        return hidden

    def next_to_place(self, frame: int) -> str | None:
        """Return the name that the next point gets: the one asked for, else the first missing; None if none is."""
        return self._free(frame, self.placed(frame))

    @property
    def placing(self) -> bool:
        """Whether a click on the image places a point."""
        return self.layer is not None and self.layer.mode == "add"

    def place_next(self, name: str) -> None:
        """Give the next point this name."""
        self._wanted = name

    def selected(self, frame: int) -> list[str]:
        """Return the names of the selected points of a frame."""
        if self.layer is None:
            return []
        names = self._names()
        return [names[row] for row in on_frame(self.layer.data[:, 0], frame) if row in self.layer.selected_data]

    def outside(self, frame: int) -> list[str]:
        """Return the names of the points of a frame that lie outside the image.

        Raises
        ------
        UsageError
            What stands on the frame is no value.
        """
        value = self.value(frame)
        return [] if value is None else outside(value, self.loop.height, self.loop.width, self.task)

    def select(self, frame: int, name: str) -> None:
        """Select a point of a frame."""
        assert self.layer is not None
        names = self._names()
        self.layer.selected_data = {int(row) for row in on_frame(self.layer.data[:, 0], frame) if names[row] == name}

    def set_hidden(self, frame: int, name: str, hidden: bool) -> bool:
        """Take a point off a frame as not visible, or put it back where it was.

        Returns
        -------
        bool
            Whether that could be done: a point that never had a place on the frame has to be placed.

        Raises
        ------
        UsageError
            What stands on the frame is no value.
        """
        index = self.task.label_names.index(name)
        value = self.value(frame)
        points = np.full((self.task.num_classes, 2), np.nan) if value is None else value.points.copy()
        if hidden:
            y, x = points[index]
            self._hidden.setdefault(frame, {})[name] = None if np.isnan(y) else (float(y), float(x))
            points[index] = np.nan
        else:
            place = self._hidden.get(frame, {}).pop(name, None)
            if place is None:
                self.place_next(name)
                return False
            points[index] = place
        self.write({frame: Keypoints(points)})
        self._notice(frame)
        return True

    def _names(self) -> list[str]:
        assert self.layer is not None
        return [str(name) for name in self.layer.features["name"]]

    def _make(self, viewer: Viewer) -> Points:
        size = max(self.loop.height, self.loop.width) / 50
        layer = viewer.add_points(
            np.zeros((0, 3)),
            ndim=3,
            size=size,
            features={"name": np.array([], dtype=object)},
            border_color="black",
            text={
                "string": "{name}",
                "size": 11,
                "color": "white",
                "anchor": "upper_left",
                "translation": [0, -size, size],
            },
            **self._options(),
        )
        layer.feature_defaults = {"name": self.task.label_names[0]}
        return layer

    def _connect(self) -> None:
        assert self.layer is not None
        self._rows = len(self.layer.data)
        self.layer.events.data.connect(self._edited)

    def _edited(self, event: Any) -> None:
        if self.layer is None:
            return
        if not self._writing and str(getattr(event, "action", "")).lower().endswith("added"):
            self._keep_to_loop()
            self._name_new()
        self._rows = len(self.layer.data)
        if not self._writing:
            self._notice(-1)

    def _keep_to_loop(self) -> None:
        """Take off what was put on frames that the loop does not have, past the end of the slider's longer loop."""
        assert self.layer is not None
        times, known = self.layer.data[:, 0].copy(), self._rows
        astray = off_the_loop(times, len(self.loop))
        if not len(astray):
            return
        self._writing = True
        try:
            self.layer.remove([int(row) for row in astray])
        finally:
            self._writing = False
        self._rows = known - int(np.count_nonzero(astray < known))  # those after it are still to be named
        self._not_here([float(times[row]) for row in astray])

    def _name_new(self) -> None:
        """Name the points just placed or pasted: napari would give them the name of another point."""
        assert self.layer is not None
        names, times = self._names(), self.layer.data[:, 0]
        for row in range(self._rows, len(names)):
            frame = round(float(times[row]))
            others = [names[other] for other in on_frame(times, frame) if other < row]
            name = self._free(frame, others) or free_name(others, self.task)
            self._wanted = None
            if name is None:
                self.noted.emit(
                    f"All {self.task.num_classes} points of this frame are placed: drag one to move it, "
                    "delete the new one."
                )
            else:
                self._hidden.get(frame, {}).pop(name, None)
            names[row] = name or SURPLUS
        self._set_names(names)

    def _free(self, frame: int, placed: list[str]) -> str | None:
        if self._wanted is not None and self._wanted not in placed:
            return self._wanted
        return free_name([*placed, *self.hidden(frame)], self.task)

    def _set_names(self, names: list[str]) -> None:
        assert self.layer is not None
        self.layer.features = {"name": np.array(names, dtype=object)}
        if names:
            colours = {name: colour(index + 1) for index, name in enumerate(self.task.label_names)}
            self.layer.face_color = [colours.get(name, NOT_A_CLASS) for name in names]

    def _write(self, values: Mapping[int, Value | None]) -> None:
        placed = {frame: value for frame, value in values.items() if isinstance(value, Keypoints)}
        self._place(values, *points_from_keypoints(placed, self.task))

    def _put(self, contents: Mapping[int, Content]) -> None:
        rows, names = [], []
        for frame, content in contents.items():
            for name, y, x in points_of_content(content):
                rows.append((frame, y, x))
                names.append(name)
        self._place(contents, np.array(rows, dtype=np.float64).reshape(-1, 3), names)

    def _place(self, frames: Iterable[int], data: NDArray[np.float64], new: list[str]) -> None:
        """Put points, (N, 3) in (t, y, x) with their names, on frames in place of those there."""
        assert self.layer is not None
        names = self._names()
        keep = np.flatnonzero(~np.isin(np.rint(self.layer.data[:, 0]), list(frames)))
        self.layer.selected_data = set()
        self.layer.data = np.concatenate([self.layer.data[keep], data])
        self._rows = len(self.layer.data)
        self._set_names([names[row] for row in keep] + new)
        for (time, _, _), name in zip(data, new, strict=True):  # one that stands there is no longer said to be hidden
            self._hidden.get(round(float(time)), {}).pop(name, None)
