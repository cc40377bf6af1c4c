"""Classification: no layer of its own; the class of each frame is shown in the dock and as text on the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from m2dino.data.drafts import Content
from m2dino.values import ClassProbabilities, Value

from napari_m2dino.contents import class_of_content, content_of_class
from napari_m2dino.result_layers.base import ResultLayer
from napari_m2dino.session import LoopSession

if TYPE_CHECKING:
    from napari.viewer import Viewer


class ClassResult(ResultLayer):
    """The class of each frame, that a person chooses by a click."""

    def __init__(self, session: LoopSession) -> None:
        super().__init__(session)
        self._values: dict[int, ClassProbabilities] = {}

    def value(self, frame: int) -> ClassProbabilities | None:
        return self._values.get(frame)

    def choose(self, frame: int, index: int) -> None:
        """Take a person's choice of class `index` for a frame."""
        self._values[frame] = ClassProbabilities.certain(index, self.task.num_classes)
        self._notice(frame)

    def content(self, frame: int) -> Content | None:
        return content_of_class(self._values.get(frame))

    def show(self, viewer: Viewer) -> bool:
        return False

    def is_shown(self, viewer: Viewer) -> bool:
        return True

    def _make(self, viewer: Viewer) -> None:
        return None

    def _connect(self) -> None:
        return None

    def _write(self, values: Mapping[int, Value | None]) -> None:
        for frame, value in values.items():
            assert value is None or isinstance(value, ClassProbabilities)
            if value is None:
                self._values.pop(frame, None)
            else:
                self._values[frame] = value

    def _put(self, contents: Mapping[int, Content]) -> None:
        self._write({frame: class_of_content(content) for frame, content in contents.items()})
