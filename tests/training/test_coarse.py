"""The coarse part of a run: image and labels shrink together, and the rates of the stem."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from m2dino.errors import UsageError
from m2dino.network.config import preset
from m2dino.network.model import M2Dino
from m2dino.network.stem_weights import start_stem
from m2dino.tasks import builtin_tasks
from m2dino.training.coarse import coarse_side, shrunk
from m2dino.training.parameters import parameter_groups
from m2dino.training.settings import TrainSettings


@given(top=st.integers(0, 40), left=st.integers(0, 40), height=st.integers(8, 24), width=st.integers(8, 24))
def test_a_mask_stays_on_its_image(top: int, left: int, height: int, width: int) -> None:
    mask = torch.zeros(2, 64, 64, dtype=torch.int64)
    mask[:, top : top + height, left : left + width] = 2
    images = (mask[:, None] * 100).to(torch.uint8).repeat(1, 3, 1, 1)
    points = torch.rand(2, 4, 2)
    small, (small_mask, same, classes) = shrunk(images, [mask, points, torch.tensor([0, 1])], 48)
    assert small.shape == (2, 3, 48, 48)
    assert small.dtype == torch.uint8
    assert set(small_mask.unique().tolist()) <= {0, 2}
    # Half-lit pixels lie along the border only.
    assert (((small[:, 0] > 100) != (small_mask == 2)).sum(dim=(1, 2)) <= 2 * (height + width)).all()
    assert torch.equal(same, points)
    assert classes.tolist() == [0, 1]


@pytest.mark.parametrize(("side", "small"), [(256, 192), (512, 384), (64, 48), (32, 32), (16, 16)])
def test_the_smaller_side_suits_the_network(side: int, small: int) -> None:
    assert coarse_side(side) == small


def test_the_share_is_a_share() -> None:
    with pytest.raises(UsageError, match="coarse"):
        TrainSettings(minutes=1, coarse=1.5)


def test_the_stem_learns_at_its_own_rate() -> None:
    net = M2Dino(preset("tiny").with_options(image_size=32), [builtin_tasks()["lung"]])
    start_stem(net)
    settings = TrainSettings(minutes=1, stem_lr=1e-5, head_lr=1e-3, encoder_lr=1e-4)
    peaks = {
        id(parameter): group["peak"]
        for group in parameter_groups(net, settings)
        for parameter in group["params"]  # type: ignore[attr-defined]
    }
    assert net.stem is not None
    rates = {peaks[id(p)] for p in net.stem.body.parameters() if p.requires_grad}
    assert rates == {1e-5}
    assert {peaks[id(p)] for p in net.stem.deep.parameters()} == {1e-4}
    assert {peaks[id(p)] for p in net.decoder.parameters()} == {1e-3}
    assert not any(id(p) in peaks for p in net.stem.body.parameters() if not p.requires_grad)
