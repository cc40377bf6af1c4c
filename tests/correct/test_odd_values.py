"""Tiny frames, frames of one grey, values at the edge or without extent: carried or given up, never an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from m2dino.cine.loop import CineLoop, Frame
from m2dino.correct import propagate
from m2dino.values import Box, Keypoints, Mask

edges = st.floats(0, 1)


class NoisyLoop(CineLoop):
    reader, codec, identity = "array", "none", "feed"

    def __init__(self, height: int, width: int, contrast: int) -> None:
        super().__init__()
        self.path, self.height, self.width, self.contrast = Path("noisy"), height, width, contrast

    def __len__(self) -> int:
        return 4

    def _decode(self, index: int) -> Frame:
        grey = np.random.default_rng(0).integers(0, self.contrast + 1, (self.height, self.width + 4))
        return np.repeat(grey[:, index : index + self.width, None].astype(np.uint8), 3, axis=2)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 300), st.integers(1, 60)),
    st.sampled_from([0, 1, 255]),
    st.tuples(edges, edges),
    st.tuples(edges, edges),
)
def test_any_value_on_any_frame(
    size: tuple[int, int], contrast: int, one: tuple[float, float], other: tuple[float, float]
) -> None:
    loop = NoisyLoop(*size, contrast)
    low, high = np.minimum(one, other) * size, np.maximum(one, other) * size
    labels = np.zeros(size, np.uint8)
    first = np.minimum(low.astype(int), np.array(size) - 1)
    labels[first[0] : int(high[0]) + 1, first[1] : int(high[1]) + 1] = 1
    for value in (Mask(labels), Box(*low, *high), Keypoints(np.array([low, high]) - 0.5)):
        for _, carried, confidence in propagate(loop, 1, value, range(2, 4)):
            assert type(carried) is type(value)
            assert 0 <= confidence <= 1
            if isinstance(carried, Mask):
                assert carried.labels.shape == size
                assert set(np.unique(carried.labels)) <= {0, 1}
            elif isinstance(carried, Box):
                assert 0 <= carried.y_min <= carried.y_max <= size[0]
                assert 0 <= carried.x_min <= carried.x_max <= size[1]
