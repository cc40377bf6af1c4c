"""The cine loop: frames decoded one at a time, when asked for."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from m2dino.cine.calibration import Calibration

Frame = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


class CineLoop(ABC):
    """A loop on disk. Indexing decodes one frame; a small cache serves repeated looks; threads may share it.

    Attributes
    ----------
    path : Path
        The file or folder it was opened from. May hold a patient's name: never written anywhere.
    name : str
        A name for people, made from the kind and the identity, never from the path or a header.
    height, width : int
    frame_time_s : float or None
        Seconds from one frame to the next; None where the file does not say, or frames are not evenly spaced.
    frame_time_source : str or None
        Where `frame_time_s` comes from, for people, such as "frame time" or "timestamps"; None where it is None.
    calibration : Calibration or None
    calibration_reason : str
        Where the calibration comes from, or why there is none; one sentence for people.
    identity : str
        Content signature (hex): the same after renaming or moving, and free of patient data.
    reader : str
        "dicom", "video" or "images".
    codec : str
        Compression, for people ("JPEG Baseline", "h264", "PNG").
    """

    path: Path
    name: str
    height: int
    width: int
    frame_time_s: float | None = None
    frame_time_source: str | None = None
    calibration: Calibration | None = None
    calibration_reason: str = "the file gives no pixel size"
    identity: str
    reader: str
    codec: str

    def __init__(self, cache_bytes: int = 64 * 2**20) -> None:
        self._cache: OrderedDict[int, Frame] = OrderedDict()
        self._cache_bytes = cache_bytes
        self._lock = threading.RLock()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _decode(self, index: int) -> Frame:
        """Decode frame `index` (in range); called under the loop's lock."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(frames, height, width, 3)."""
        return (len(self), self.height, self.width, 3)

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
                return self._keep(index, self._decode(index))
            self._cache.move_to_end(index)
            return frame

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
        with self._lock:
            self._cache.clear()
