"""What every result layer can do, whatever its kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from m2dino.data.drafts import Content
from m2dino.errors import UsageError
from m2dino.values import Value
from psygnal import Signal

from napari_m2dino.loop_layer import LOOP_KEY, RESULT_KEY, geometry
from napari_m2dino.session import LoopSession

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


class ResultLayer(ABC):
    """The values of one task on one loop, as a person sees and changes them.

    Attributes
    ----------
    session : LoopSession
        The state that belongs to it; it lives as long as the layer, longer than a dock that is closed and opened again.
    layer : napari layer or None
        None before `show`, and always for a classification, which has no geometry.
    changed : Signal
        Emitted with the frame that a person has changed, or -1 where it may be any.
    noted : Signal
        Emitted with a sentence for the person.
    """

    changed = Signal(int)
    noted = Signal(str)

    def __init__(self, session: LoopSession) -> None:
        self.session = session
        self.loop = session.loop
        self.task = session.task
        self.layer: Layer | None = None
        self._writing = False
        self._drawn: dict[int, Content] = {}

    def show(self, viewer: Viewer) -> bool:
        """Make the layer if the viewer has none; return whether it had to be made, and so is empty."""
        if self.is_shown(viewer):
            return False
        self.layer = self._make(viewer)
        self._connect()
        return True

    def is_shown(self, viewer: Viewer) -> bool:
        """Whether the layer is (still) in the viewer."""
        return self.layer is not None and self.layer in viewer.layers

    @abstractmethod
    def value(self, frame: int) -> Value | None:
        """Return what stands on a frame; None where nothing does.

        Raises
        ------
        UsageError
            What stands there cannot be a value of the task, such as two boxes; the message says what to do.
        """

    def reader(self, frame: int) -> Callable[[], Value | None]:
        """Return what another thread can call for the value of a frame, as it stands now or, of a mask, then."""
        try:
            value = self.value(frame)
        except UsageError:
            value = None
        return lambda: value

    def write(self, values: Mapping[int, Value | None]) -> None:
        """Put values on frames in place of what stands there; None empties a frame. Many at once cost little more."""
        self._writing = True
        try:
            self._write(values)
        finally:
            self._writing = False

    @abstractmethod
    def content(self, frame: int) -> Content | None:
        """Return what stands on a frame, whether or not it is a value; None where no layer is."""

    def put(self, contents: Mapping[int, Content]) -> None:
        """Put back what stood on frames: the inverse of `content`."""
        self._writing = True
        try:
            self._put(contents)
        finally:
            self._writing = False

    def drawn(self) -> dict[int, Content]:
        """Return what stands on every frame that has something, where that is quick to tell; else nothing."""
        return {}

    def changed_frames(self) -> set[int]:
        """Return the frames that stand otherwise than at the last call, as far as `drawn` can tell."""
        was, self._drawn = self._drawn, self.drawn()
        return {frame for frame in was.keys() | self._drawn.keys() if was.get(frame) != self._drawn.get(frame)}

    @abstractmethod
    def _put(self, contents: Mapping[int, Content]) -> None: ...

    @abstractmethod
    def _make(self, viewer: Viewer) -> Layer | None: ...

    @abstractmethod
    def _connect(self) -> None: ...

    @abstractmethod
    def _write(self, values: Mapping[int, Value | None]) -> None: ...

    def _options(self) -> dict[str, Any]:
        """Return what all layers of the loop have in common."""
        return {
            "name": f"{self.task.title} · {self.loop.name}",
            "metadata": {LOOP_KEY: self.loop, RESULT_KEY: self},
            **geometry(self.loop),
        }

    def _not_here(self, times: Sequence[float]) -> None:
        """Say that what was just put on frames that the loop does not have is taken off."""
        where = f"frame {round(times[0])}" if len(times) == 1 else f"{len(times)} frames"
        last = len(self.loop) - 1
        self.noted.emit(
            f"This loop has the frames 0 to {last}: what you put on {where} beyond them is taken off again."
        )

    def _notice(self, frame: int) -> None:
        if not self._writing:
            self.changed.emit(frame)


def result_of(layer: object) -> ResultLayer | None:
    """Return the result that a layer shows; None for other layers."""
    metadata = getattr(layer, "metadata", None) or {}
    result = metadata.get(RESULT_KEY)
    return result if isinstance(result, ResultLayer) else None
