"""The cine loop: frames decoded one at a time, when asked for or, in playback, just before."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.calibration import Calibration
from m2dino.cine.look_ahead import LookAhead
from m2dino.cine.markers import Marker
from m2dino.cine.regions import Region, calibration_at, tissue_region
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop

Frame = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

_MOST_AHEAD = 8


class CineLoop(ABC):
    """A loop on disk. Indexing decodes one frame; a small cache serves repeated looks; threads may share it.

    Frames asked for one after another are decoded up to 8 ahead by one thread, within the bounds of the cache.

    Attributes
    ----------
    path : Path
        The file or folder it was opened from. May hold a patient's name: never written anywhere.
    name : str
        A name for people, made from the kind and the identity, never from the path or a header.
    height, width : int
    pixel_aspect : float
        Width of a pixel over its height, as far as the file tells; 1 where it says nothing. Only a scale by hand needs
        it: a `calibration` has both sides.
    frame_time_s : float or None
        Seconds from one frame to the next; None where the file does not say, or frames are not evenly spaced.
    frame_time_source : str or None
        Where the times come from, for people, such as "frame time" or "timestamps"; None where `frame_times_s` is None.
    markers : tuple of Marker
        Moments that the file names (R waves, end-diastole, end-systole), by frame.
    calibration : Calibration or None
    calibration_reason : str
        Where the calibration comes from, or why there is none; one sentence for people.
    regions : tuple of Region
        The ultrasound regions of a DICOM frame that lie inside it, each with its own scale or the reason for none.
    identity : str
        Content signature (hex): the same after renaming or moving, and free of patient data.
    reader : str
        "dicom", "video", "images", "volume" or "array".
    codec : str
        Compression, for people ("JPEG Baseline", "h264", "PNG").
    """

    path: Path
    name: str
    height: int
    width: int
    pixel_aspect: float = 1.0
    frame_time_s: float | None = None
    frame_time_source: str | None = None
    calibration: Calibration | None = None
    calibration_reason: str = "the file gives no pixel size"
    regions: tuple[Region, ...] = ()
    markers: tuple[Marker, ...] = ()
    identity: str
    reader: str
    codec: str

    def __init__(self, cache_bytes: int = 64 * 2**20) -> None:
        self._cache: OrderedDict[int, Frame] = OrderedDict()
        self._cache_bytes = cache_bytes
        self._lock = threading.RLock()
        self._uneven_times: NDArray[np.float64] | None = None
        self._own_scale: tuple[Calibration | None, str] | None = None
        self._look_ahead = LookAhead(self._fetch)

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _decode(self, index: int) -> Frame:
        """Decode frame `index` (in range); called under the loop's lock."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(frames, height, width, 3)."""
        return (len(self), self.height, self.width, 3)

    @property
    def frame_times_s(self) -> NDArray[np.float64] | None:
        """Seconds from the first frame to each frame, shape (N,), rising; None where the file does not say."""
        if self._uneven_times is not None:
            return self._uneven_times
        return None if self.frame_time_s is None else np.arange(len(self), dtype=np.float64) * self.frame_time_s

    def set_times(self, step_s: float | None, source: str, times_s: NDArray[np.float64] | None = None) -> None:
        """Say when the frames were taken: evenly, `step_s` apart, or each at its own time, (N,) seconds, rising."""
        self.frame_time_s, self.frame_time_source, self._uneven_times = step_s, source, times_s

    @property
    def own_scale(self) -> tuple[Calibration | None, str]:
        """The scale of the file itself and where it comes from, or None and why; whatever a person has set since."""
        return self._own_scale or (self.calibration, self.calibration_reason)

    def set_scale(self, calibration: Calibration, reason: str) -> None:
        """Use a person's scale; `reason` says where it comes from. That of the file stays in `own_scale`."""
        self._own_scale = self.own_scale
        self.calibration, self.calibration_reason = calibration, reason

    def use_own_scale(self) -> None:
        """Go back to the scale of the file."""
        self.calibration, self.calibration_reason = self.own_scale
        self._own_scale = None

    @property
    def tissue_region(self) -> tuple[int, int, int, int] | None:
        """(y_min, x_min, y_max, x_max), end exclusive, of the largest 2-D image: the crop offered to the network."""
        return tissue_region(self.regions)

    def calibration_at(self, points: Sequence[tuple[float, float]]) -> tuple[Calibration | None, str]:
        """Return the scale that holds at all (y, x) `points`, and where it comes from, or None and why there is none.

        Lengths between points of two regions, or across the axes of an M-mode or a spectrum, have no millimetres.
        """
        return calibration_at(points, self.regions, self.calibration, self.calibration_reason)

    @property
    def bytes_to_unpack(self) -> int:
        """How many bytes the first frame waits for, because they are packed as one; 0 where it does not wait."""
        return 0

    def prepare(self, on_progress: OnProgress = ignore_progress, should_stop: ShouldStop = never_stop) -> None:
        """Do ahead what the first frame would wait for, where it would wait; stopped, it waits as ever.

        Raises
        ------
        LoopError
            The packed bytes are damaged: no frame can be shown.
        """
        if self.bytes_to_unpack:
            with self._lock:
                self._prepare(on_progress, should_stop)

    def _prepare(self, on_progress: OnProgress, should_stop: ShouldStop) -> None:  # noqa: B027  # most have nothing to do
        """Unpack; called under the loop's lock."""

    def __getitem__(self, index: int) -> Frame:
        """Return frame `index` as a read-only (H, W, 3) uint8 RGB array; negative indices count from the end.

        Raises
        ------
        IndexError
            No such frame.
        FrameDecodeError
            This frame is damaged; others may be fine.
        """
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"frame {index} of a loop of {count}")
        index %= count
        with self._lock:
            frame = self._cache.get(index)
            if frame is None:
                frame = self._keep(index, self._decode(index))
            self._cache.move_to_end(index)
        self._look_ahead.saw(index, min(_MOST_AHEAD, self._cache_bytes // frame.nbytes - 2), count)
        return frame

    def _fetch(self, index: int) -> None:
        """Decode a frame that is about to be asked for."""
        with self._lock:
            if index not in self._cache and self._look_ahead.wants(index):
                self._keep(index, self._decode(index))

    def _keep(self, index: int, frame: Frame) -> Frame:
        """Put a decoded frame into the cache, read-only; a reader that decodes others on its way keeps them too."""
        frame = np.ascontiguousarray(frame, dtype=np.uint8)
        if frame.shape != (self.height, self.width, 3):
            raise AssertionError(f"reader {self.reader} gave {frame.shape}")
        frame.setflags(write=False)
        self._cache[index] = frame
        self._cache.move_to_end(index)
        while len(self._cache) > 2 and len(self._cache) * frame.nbytes > self._cache_bytes:
            self._cache.popitem(last=False)
        return frame

    def __iter__(self) -> Iterator[Frame]:
        for index in range(len(self)):
            yield self[index]

    def close(self) -> None:
        """Forget decoded frames and let go of the file; safe to call twice."""
        self._look_ahead.stop()
        with self._lock:
            self._cache.clear()
            self._release()

    def _release(self) -> None:  # noqa: B027  # a loop that holds nothing open has nothing to do here
        """Let go of the file; called under the loop's lock. The next decoding opens it again."""
