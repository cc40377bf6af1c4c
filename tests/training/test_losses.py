"""What a batch is judged by, and how fast each part of the network learns from it."""

from __future__ import annotations

import pytest
import torch
from m2dino.errors import UsageError
from m2dino.network.config import Architecture
from m2dino.network.heads import ClassificationOutput, ClassificationReadings, SegmentationOutput
from m2dino.network.model import M2Dino
from m2dino.tasks import builtin_tasks
from m2dino.training.losses import class_weights, loss_of
from m2dino.training.parameters import parameter_groups
from m2dino.training.settings import PAPER_LOSSES, LossSettings, TrainSettings

PLAIN = LossSettings(label_smoothing=0)


def test_the_papers_loss_of_masks_is_dice_alone() -> None:
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    target[:, 2:6, 2:6] = 1
    sure = torch.stack([-20.0 * (target * 2 - 1), 20.0 * (target * 2 - 1)], dim=1)
    assert loss_of(SegmentationOutput(sure), target, PAPER_LOSSES).item() == pytest.approx(0, abs=1e-4)
    undecided = torch.zeros(1, 2, 8, 8)
    half = 1 - (2 * 8 + 1) / (32 + 16 + 1)
    assert loss_of(SegmentationOutput(undecided), target, PAPER_LOSSES).item() == pytest.approx(half)
    both = loss_of(SegmentationOutput(undecided), target, PLAIN).item()
    assert both == pytest.approx(half + torch.log(torch.tensor(2.0)).item())


def test_balanced_classes_have_an_equal_say() -> None:
    counts = [90, 10]
    logits = torch.zeros(100, 2, requires_grad=True)
    target = torch.tensor([0] * 90 + [1] * 10)
    weights = class_weights(counts, 1.0)
    loss = loss_of(ClassificationOutput(logits), target, PLAIN, weights)
    assert loss.item() == pytest.approx(torch.log(torch.tensor(2.0)).item()), "the loss keeps its size"
    loss.backward()
    assert logits.grad is not None
    pull = logits.grad[:, 1]
    assert pull[:90].sum().item() == pytest.approx(-pull[90:].sum().item())
    assert torch.equal(class_weights(counts, 0.0), torch.ones(2))
    assert class_weights([5, 0, 5], 0.5)[1] == 0


def test_each_of_several_readings_learns_as_much_as_it_would_alone() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(6, 2, 3, requires_grad=True), torch.tensor([0, 1, 2, 0, 1, 2])
    weights = class_weights([30, 20, 10], 0.5)
    loss_of(ClassificationReadings(logits), target, LossSettings(focal=1.0), weights).backward()
    assert logits.grad is not None
    for index in range(2):
        alone = logits.detach()[:, index].clone().requires_grad_()
        loss_of(ClassificationOutput(alone), target, LossSettings(focal=1.0), weights).backward()
        assert alone.grad is not None
        assert torch.allclose(logits.grad[:, index], alone.grad)


def test_the_answer_of_several_readings_is_the_mean_of_their_probabilities() -> None:
    said = torch.tensor([[[0.9, 0.1], [0.3, 0.7]], [[1.0, 0.0], [1.0, 0.0]]])
    answer = ClassificationReadings(said.log()).mean().logits
    assert answer.isfinite().all()
    assert torch.allclose(answer.softmax(dim=1), torch.tensor([[0.6, 0.4], [1.0, 0.0]]), atol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_forgets_what_is_right_already(gamma: float) -> None:
    def loss(logit: float, gamma: float) -> float:
        output = ClassificationOutput(torch.tensor([[logit, 0.0]]))
        return loss_of(output, torch.tensor([0]), LossSettings(focal=gamma, label_smoothing=0)).item()

    for logit in (-3.0, 0.0, 3.0, 40.0):
        wrong = 1 - torch.sigmoid(torch.tensor(logit)).item()
        assert loss(logit, gamma) == pytest.approx(loss(logit, 0.0) * wrong**gamma, abs=1e-5)
    sure = torch.tensor([[100.0, 0.0]], requires_grad=True)
    loss_of(ClassificationOutput(sure), torch.tensor([0]), LossSettings(focal=gamma)).backward()
    assert sure.grad is not None
    assert sure.grad.isfinite().all()


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"dice": 0, "cross_entropy": 0}, {"focal": -1}, {"class_balance": 2}, {"label_smoothing": 1}):
        with pytest.raises(UsageError):
            LossSettings(**wrong)
    for wrong in ({"layer_decay": 0}, {"alpha": 2}, {"encoder_lr": 0}, {"early_stop": 2, "checks": 0}):
        with pytest.raises(UsageError):
            TrainSettings(epochs=1, **wrong)
    settings = TrainSettings(epochs=1, losses=PAPER_LOSSES)
    assert TrainSettings.from_dict(settings.to_dict()) == settings


def test_each_block_learns_slower_than_the_next(small: Architecture) -> None:
    net = M2Dino(small.with_options(stem=""), [builtin_tasks()["FUGC"]])
    settings = TrainSettings(epochs=1, encoder_lr=1e-3, head_lr=7e-3, layer_decay=0.5, weight_decay=0.1)
    groups = parameter_groups(net, settings)
    rate = {id(p): group["peak"] for group in groups for p in group["params"]}  # type: ignore[attr-defined]
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}  # type: ignore[attr-defined]
    named = dict(net.named_parameters())
    assert rate.keys() == {id(p) for p in named.values()}

    def of(start: str) -> set[object]:
        return {rate[id(p)] for name, p in named.items() if name.startswith(start)}

    assert small.moe_from == 9
    assert of("backbone.moe_blocks.2.") == {1e-3}
    assert of("backbone.moe_blocks.0.") == {1e-3 / 4}
    assert of("backbone.vit.blocks.8.") == {1e-3 / 8}
    assert of("backbone.vit.blocks.0.") == {1e-3 / 2**11}
    assert of("backbone.vit.patch_embed.") == of("backbone.vit.cls_token") == {1e-3 / 2**12}
    assert of("backbone.vit.norm.") == {1e-3}
    assert of("heads.") == of("decoder.") == of("detail.") == of("embeddings.") == {7e-3}

    for name, parameter in named.items():
        vector = parameter.ndim < 2 or name.startswith("embeddings.") or name.endswith(("cls_token", "reg_token"))
        assert decay[id(parameter)] == (0.0 if vector else 0.1), name
    even = parameter_groups(net, TrainSettings(epochs=1))
    assert {group["peak"] for group in even} == {6e-4, 1e-3}
