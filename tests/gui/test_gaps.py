"""Which frames are carried to and filled in, and what a proposal's maker says."""

from __future__ import annotations

import pytest

from napari_m2dino.gaps import gaps_at, neighbours
from napari_m2dino.origins import Origin, carried_from, imported_from, in_words, interpolated_between, origin_of
from napari_m2dino.session import FrameState

P, A, E, C, R = (
    FrameState.PROPOSED,
    FrameState.ACCEPTED,
    FrameState.EDITED,
    FrameState.CHANGED,
    FrameState.REJECTED,
)


def test_a_label_is_carried_up_to_the_next_of_a_persons_own() -> None:
    states = [P, E, P, R, C, P, P, A, P]
    assert neighbours(4, states, 8) == (range(5, 7), range(3, 1, -1))
    assert neighbours(5, states, 8) == (range(6, 7), range(4, 4, -1))
    assert neighbours(8, states, 8) == (range(9, 9), range(7, 7, -1))
    assert neighbours(2, [P] * 20, 3) == (range(3, 6), range(1, -1, -1))


def test_the_gap_around_the_frame_is_filled_or_every_gap() -> None:
    states = [A, P, P, E, R, P, C, P, A, A]
    assert gaps_at(1, states) == [(0, 3)]
    assert gaps_at(3, states) == [(0, 3)], "a person comes from the frame before"
    assert gaps_at(0, states) == [(0, 3)]
    assert gaps_at(9, states) == []
    assert gaps_at(None, states) == [(0, 3), (3, 6), (6, 8)]
    assert gaps_at(1, [P, P, A, P]) == []


@pytest.mark.parametrize(
    ("maker", "origin", "words"),
    [
        (carried_from(12), Origin.CARRIED, "carried from frame 12"),
        (interpolated_between(3, 9), Origin.INTERPOLATED, "interpolated between frames 3 and 9"),
        (imported_from("COCO"), Origin.IMPORTED, "imported from COCO"),
        ("tiny-2026", Origin.MODEL, ""),
        ("carried", Origin.MODEL, ""),
        ("", Origin.MODEL, ""),
    ],
)
def test_the_maker_of_a_proposal_says_where_it_comes_from(maker: str, origin: Origin, words: str) -> None:
    assert origin_of(maker) is origin
    assert in_words(maker) == words
