"""Which frames are worth a look: divided experts, jumps against the neighbours, frames unlike the others."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import m2dino
import numpy as np
import pytest
import torch
from m2dino.queueing.diversity import k_centre
from m2dino.queueing.insight import Insight, routing_entropy
from m2dino.queueing.jumps import jump_of, shape_of
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask


def test_entropy_is_none_where_one_expert_has_it_all_and_one_where_all_share() -> None:
    sure = torch.zeros(1, 5, 4)
    sure[..., 2] = 1
    shared = torch.full((1, 5, 4), 0.25)
    gates = torch.cat([sure, shared])
    assert routing_entropy([gates, gates]) == pytest.approx([0.0, 1.0])
    assert routing_entropy([sure, shared]) == pytest.approx([0.5])


def test_k_centre_takes_the_farthest_each_time() -> None:
    places = {0: [0.0, 0], 1: [0.1, 0], 2: [10, 0], 3: [10.2, 0], 4: [5, 0.0], 5: [5, 7]}
    features = {frame: np.array(place) for frame, place in places.items()}
    order = k_centre(features, covered=[0])
    assert list(order)[:2] == [3, 5]
    assert set(order) == {1, 2, 3, 4, 5}
    assert list(order.values()) == sorted(order.values(), reverse=True)
    assert next(iter(k_centre(features))) == 4, "without any taken yet, the first is the one in the middle"
    assert k_centre({}) == {}
    assert list(k_centre({7: np.ones(3)})) == [7]


def disc(radius: int, y: int = 50) -> Mask:
    rows, columns = np.ogrid[:100, :100]
    return Mask(((rows - y) ** 2 + (columns - 50) ** 2 <= radius**2).astype(np.uint8))


@pytest.mark.parametrize(
    ("steady", "odd", "says"),
    [
        (disc(20), disc(30), "area grows"),
        (disc(20), disc(20, 70), "area moves"),
        (disc(20), Mask(np.zeros((100, 100), np.uint8)), "area shrinks by 100%"),
        (Box(10, 10, 50, 50), Box(10, 10, 30, 50), "box shrinks"),
        (Keypoints(np.array([[10.0, 10], [20, 20]])), Keypoints(np.array([[10.0, 10], [60, 20]])), "points move by 40"),
        (Keypoints(np.array([[10.0, 10]])), Keypoints(np.array([[np.nan, np.nan]])), "other points are visible"),
        (ClassProbabilities.certain(0, 2), ClassProbabilities.certain(1, 2), "another than its neighbours"),
    ],
)
def test_the_odd_frame_jumps_most(steady: object, odd: object, says: str) -> None:
    shapes = {frame: shape_of(odd if frame == 3 else steady) for frame in range(7)}  # type: ignore[arg-type]
    jumps = {frame: jump_of(frame, shapes, 100) for frame in range(7)}
    assert max(jumps, key=lambda frame: jumps[frame].score) == 3  # type: ignore[union-attr]
    assert says in jumps[3].words  # type: ignore[union-attr]
    assert jumps[0].score == 0  # type: ignore[union-attr]
    assert jump_of(0, {0: shape_of(steady)}, 100) is None  # type: ignore[arg-type]


def test_a_prediction_tells_what_it_computes_anyway_and_answers_the_same() -> None:
    loop = m2dino.open_loop(Path(str(files("napari_m2dino"))) / "samples" / "carotid")
    model = m2dino.load_model("tiny")
    told: list[Insight] = []
    frames = [10, 11, 20, 21, 30, 31]
    plain = list(m2dino.predict(loop, "carotid_artery", model, frames=frames))
    watched = list(m2dino.predict(loop, "carotid_artery", model, frames=frames, on_insight=told.append))
    assert watched == plain
    assert [one.frame for one in told] == frames
    assert all(0 < one.entropy <= 1 for one in told)
    assert all(np.linalg.norm(one.features) == pytest.approx(1, abs=1e-3) for one in told)
    looks = np.stack([one.features for one in told])
    apart = np.linalg.norm(looks[:, None] - looks[None], axis=2)
    # Frames beside each other look more alike than frames ten and more apart.
    assert np.mean([apart[0, 1], apart[2, 3], apart[4, 5]]) < np.mean([apart[:2, 2:].mean(), apart[2:4, 4:].mean()])
    assert all(not block.moe.keep_gates for block in model.net.backbone.mixtures)
