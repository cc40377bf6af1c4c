"""Segmentation: a Labels layer of shape (T, H, W), uint8, classes named and coloured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from m2dino.data.drafts import Content
from m2dino.errors import UsageError
from m2dino.values import Mask, Value
from numpy.typing import NDArray

from napari_m2dino.contents import content_of_labels, labels_of_content
from napari_m2dino.layers import labels_from_mask, labels_in_words, mask_from_labels
from napari_m2dino.napari_compat import forget_undo, frame_shown
from napari_m2dino.result_layers.base import ResultLayer
from napari_m2dino.result_layers.colours import NOT_A_CLASS, colour

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer


class MaskLayer(ResultLayer):
    """Masks that a person paints on."""

    layer: Labels | None

    def value(self, frame: int) -> Mask | None:
        return None if self.layer is None else mask_from_labels(self._labels(frame), self.task)

    def content(self, frame: int) -> Content | None:
        return None if self.layer is None else content_of_labels(self._labels(frame))

    def _labels(self, frame: int) -> NDArray[np.generic]:
        """Return the labels of a frame.

        Raises
        ------
        UsageError
            The layer was given data of another size.
        """
        assert self.layer is not None
        data, wanted = self.layer.data, (len(self.loop), self.loop.height, self.loop.width)
        if tuple(data.shape) != wanted:
            is_, needs = (" x ".join(map(str, size)) for size in (data.shape, wanted))
            raise UsageError(
                f"The layer {self.layer.name} now holds labels of size {is_}, but this loop needs {needs}: delete the "
                "layer, and your work comes back in a new one."
            )
        return np.asarray(data[frame])

    def reader(self, frame: int) -> Callable[[], Mask | None]:
        # Copied by whoever calls it: copies of all frames of a long loop would hold up the window, and its memory.
        if self.layer is None:
            return lambda: None
        labels, task = self.layer.data, self.task
        if labels.shape != (len(self.loop), self.loop.height, self.loop.width):
            return lambda: None  # a person has given the layer other data
        return lambda: mask_from_labels(labels[frame], task)

    def _make(self, viewer: Viewer) -> Labels:
        from napari.utils import DirectLabelColormap

        colours: dict[int | None, str] = {None: NOT_A_CLASS, 0: "transparent"}
        colours |= {index: colour(index) for index in range(1, self.task.num_classes)}
        self._dims = viewer.dims
        # Zeros are not touched until painted on, so the memory of an empty stack is not taken.
        stack = np.zeros((len(self.loop), self.loop.height, self.loop.width), np.uint8)
        layer = viewer.add_labels(
            stack,
            colormap=DirectLabelColormap(color_dict=colours),
            features={"index": range(self.task.num_classes), "name": list(self.task.label_names)},
            opacity=0.45,
            **self._options(),
        )
        layer.selected_label = 1
        layer.brush_size = max(4, round(min(self.loop.height, self.loop.width) / 40))
        return layer

    def _connect(self) -> None:
        assert self.layer is not None
        # The frames whose strokes napari could still undo; -1 after a stroke through several frames.
        self._undoable: set[int] = set()
        self.layer.events.paint.connect(self._painted)
        self._label = int(self.layer.selected_label)
        self.layer.events.selected_label.connect(self._keep_to_classes)
        self.layer.events.set_data.connect(lambda _event: self._notice(-1))  # undo and redo say nothing else

    def _keep_to_classes(self, _event: object) -> None:
        """Set a label that the task does not have back to the one before: napari's key M makes up new ones."""
        assert self.layer is not None
        chosen = int(self.layer.selected_label)
        if 0 <= chosen < self.task.num_classes:
            self._label = chosen
            return
        self.layer.selected_label = self._label
        self.noted.emit(f"{self.task.title} has only {labels_in_words(self.task)}: label {chosen} cannot be painted.")

    def _painted(self, event: Any) -> None:
        frame = frame_shown(self._dims)
        several = self.layer is not None and self.layer.n_edit_dimensions != 2
        self._undoable.add(-1 if several else frame)
        for touched in painted_frames(getattr(event, "value", ())) if several else (frame,):
            self._notice(touched)

    def _write(self, values: Mapping[int, Value | None]) -> None:
        assert self.layer is not None
        if self._undoable:
            # Undo of napari's own would bring old pixels back into the new ones.
            forget_undo(self.layer)
            self._undoable.clear()
        for frame, value in values.items():
            assert value is None or isinstance(value, Mask)
            self.layer.data[frame] = 0 if value is None else labels_from_mask(value)
        if frame_shown(self._dims) in values:
            self.layer.refresh()

    def _put(self, contents: Mapping[int, Content]) -> None:
        self._write({})
        assert self.layer is not None
        for frame, content in contents.items():
            self.layer.data[frame] = labels_of_content(content)
        if frame_shown(self._dims) in contents:
            self.layer.refresh()


def painted_frames(atoms: Iterable[Any]) -> set[int]:
    """Return the frames that napari's record of a stroke has pixels of."""
    frames: set[int] = set()
    for atom in atoms:
        first = (getattr(atom, "slice_key", None) or atom[0])[0]
        if isinstance(first, slice):
            frames.update(range(first.start or 0, first.stop or 0))
        else:
            frames.update(int(index) for index in np.unique(np.asarray(first)))
    return frames
