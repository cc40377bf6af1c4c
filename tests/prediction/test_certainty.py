"""Probabilities that mean what they say, and the mean over several views of a frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from m2dino import tta
from m2dino.data.targets import mirror_allowed
from m2dino.errors import NotACheckpointError
from m2dino.network.card import ModelCard, read_card
from m2dino.network.checkpoint import save_checkpoint
from m2dino.network.heads import ClassificationOutput, DetectionOutput, RegressionOutput, SegmentationOutput
from m2dino.predictor import Model, load_model
from m2dino.tasks import builtin_tasks
from m2dino.temperature import fit_temperature, tempered
from m2dino.tta import TestTimeAugmented, mean_output, views
from m2dino.values import ClassProbabilities, Mask

from tests.synthetic import SIZE, TASKS, picture

SEG, CLS, DET, REG = TASKS.values()


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_made_the_logits_too_sure(factor: float) -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=rng)
    truth = torch.distributions.Categorical(logits=logits).sample()
    truth = torch.multinomial(logits.softmax(dim=1), 1, generator=rng)[:, 0]
    assert fit_temperature(factor * logits, truth) == pytest.approx(factor, rel=0.1)


def test_a_perfect_answer_is_not_made_surer_without_end() -> None:
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, torch.tensor([0, 1])) == pytest.approx(0.2, rel=0.01)


def test_a_checkpoints_temperature_changes_how_sure_it_is_and_no_answer(model: Model, tmp_path: Path) -> None:
    warm = {task: replace(report, temperature=4.0) for task, report in model.card.tasks.items()}
    path = tmp_path / "warm.safetensors"
    save_checkpoint(model.net, replace(model.card, tasks=warm), path)
    other = load_model(path, "cpu")
    assert {report.temperature for report in read_card(path).tasks.values()} == {4.0}
    frame = picture(0)[0]
    for task_id in TASKS.values():
        (one,), (two,) = (each.predict_frames([frame], task_id) for each in (model, other))
        if isinstance(one.value, ClassProbabilities) and isinstance(two.value, ClassProbabilities):
            expected = one.value.probabilities**0.25
            np.testing.assert_allclose(two.value.probabilities, expected / expected.sum(), rtol=1e-4)
        elif isinstance(one.value, Mask) and isinstance(two.value, Mask):
            np.testing.assert_array_equal(one.value.labels, two.value.labels)
        else:
            assert one.confidence == two.confidence
    for output in (DetectionOutput(torch.rand(1, 4), torch.rand(1, 4, 4, 4)),):
        assert tempered(output, 2.0) is output


def test_cards_without_a_temperature_are_read_and_nonsense_is_refused(model: Model) -> None:
    text = model.card.to_json()
    assert (
        ModelCard.from_json(text.replace('"temperature": 1.0, ', "").replace(', "temperature": 1.0', "")) == model.card
    )
    for nonsense in ("0.0", "-1", "NaN", "Infinity", '"warm"'):
        with pytest.raises(NotACheckpointError):
            ModelCard.from_json(text.replace('"temperature": 1.0', f'"temperature": {nonsense}'))


def test_a_task_that_knows_left_from_right_is_not_mirrored() -> None:
    tasks = builtin_tasks()
    kept = next(task for task in tasks if not mirror_allowed(task))
    free = next(task for task in tasks if mirror_allowed(task))
    assert [tuple(view) for view in views(kept, 256)] == [(256, False), (320, False)]
    assert [tuple(view) for view in views(free, 256)] == [(256, False), (256, True), (320, False), (320, True)]


@pytest.mark.parametrize("task_id", [SEG, CLS, DET])
def test_a_mirrored_frame_gets_the_mirrored_answer(task_id: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one network that is not symmetric itself: only the mean over both views makes it so."""
    monkeypatch.setattr(tta, "SCALES", (1.0,))  # enlarging a mirrored picture rounds other pixels
    assert mirror_allowed(model.tasks[task_id])
    several = TestTimeAugmented(model)
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.integers(0, 256, (1, 3, SIZE, SIZE), dtype=np.uint8))

    def answers(chosen: Model) -> tuple[torch.Tensor, torch.Tensor]:
        (plain,), (mirrored,) = chosen.outputs(image, task_id), chosen.outputs(image.flip(-1), task_id)
        if isinstance(mirrored, SegmentationOutput):
            return plain[0].softmax(dim=1), mirrored.logits.flip(-1).softmax(dim=1)
        if isinstance(mirrored, DetectionOutput):
            y_min, x_min, y_max, x_max = mirrored.box.unbind(-1)
            return plain[0], torch.stack([y_min, 1 - x_max, y_max, 1 - x_min], dim=-1)
        return plain[0].softmax(dim=-1), mirrored[0].softmax(dim=-1)

    one, other = answers(several)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    one, other = answers(model)
    assert (one - other).abs().max() > 1e-4


def test_the_mean_of_views_is_that_of_probabilities_and_places() -> None:
    classes = [ClassificationOutput(torch.tensor([[p, 1 - p]]).log()) for p in (0.9, 0.5)]
    torch.testing.assert_close(mean_output(classes)[0].exp(), torch.tensor([[0.7, 0.3]]))
    masks = [SegmentationOutput(torch.full((1, 2, side, side), 0.5).log()) for side in (16, 20)]
    assert mean_output(masks)[0].shape == (1, 2, 16, 16)
    heat = torch.randn(1, 2, 16, 16)
    points = [RegressionOutput(torch.full((1, 2, 2), place), heat) for place in (0.4, 0.6)]
    found = mean_output(points)
    assert isinstance(found, RegressionOutput)
    torch.testing.assert_close(found.points, torch.full((1, 2, 2), 0.5))
    torch.testing.assert_close(found.heat.flatten(2).softmax(-1), heat.flatten(2).softmax(-1))


def test_views_go_through_a_prediction_of_several_frames(model: Model) -> None:
    frames = [picture(index)[0] for index in range(3)]
    several = TestTimeAugmented(model)
    for task_id in TASKS.values():
        together = several.predict_frames(frames, task_id)
        alone = several.predict_frames(frames[1:2], task_id)[0]
        assert together[1].confidence == pytest.approx(alone.confidence, abs=1e-4)
