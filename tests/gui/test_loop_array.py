"""The array that napari slices: the loop's own pixels, and a marked blank where a frame is damaged."""

from __future__ import annotations

from pathlib import Path

import m2dino
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.examples import get_path

from napari_m2dino.loop_array import LoopArray, crossed_out


def test_every_way_of_slicing_gives_the_loop_s_pixels() -> None:
    loop = m2dino.open_loop(get_path("ybr_color"))
    array = LoopArray(loop)
    whole = np.asarray(array)
    assert array.shape == whole.shape == (30, 240, 320, 3)
    assert np.array_equal(whole[4], loop[4])
    for key in (
        4,
        np.int64(4),
        -1,
        slice(2, 9, 3),
        (4, slice(None), slice(None), 1),
        (slice(0, 3), slice(10, 20), 5),
        (..., 0),
        ([3, 1], slice(None), 7),
        (),
    ):
        assert np.array_equal(array[key], whole[key]), key
    with pytest.raises(IndexError):
        array[30]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A real DICOM cine whose frame 7 is cut to a few bytes."""
    dataset = dcmread(get_path("ybr_color"))
    frames = list(generate_frames(dataset.PixelData, number_of_frames=30))
    frames[7] = frames[7][:40]
    dataset.PixelData = encapsulate(frames)
    dataset.save_as(tmp_path / "damaged.dcm")
    return tmp_path / "damaged.dcm"


def test_a_damaged_frame_is_a_marked_blank_and_the_others_stay(damaged: Path) -> None:
    array = LoopArray(m2dino.open_loop(damaged))
    assert np.array_equal(array[7], crossed_out(240, 320))
    assert list(array.damaged) == [7]
    assert array[6].std() > 10
    assert array[8].std() > 10
