"""The benchmark against the challenge's baseline: both networks learn and answer, and a stopped run goes on."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from m2dino.network.checkpoint import read_tensors
from m2dino.progress import ShouldStop, ignore_progress, never_stop
from m2dino.tasks import builtin_tasks
from m2dino.training.data import TrainingData
from m2dino.training.losses import loss_of
from m2dino.training.settings import TrainSettings
from m2dino.training.state import read_about, resume_path

from tests.benchmarks.baseline.entrants import Entrant
from tests.benchmarks.baseline.running import run
from tests.benchmarks.baseline.speed import folded, predict_frame
from tests.benchmarks.baseline.tables import write_tables
from tests.synthetic import SIZE, TASKS, picture

BASELINE = Entrant("baseline", encoder="mobilenet_v2", image_size=SIZE)
M2DINO = Entrant("m2dino", image_size=SIZE)
SETTINGS = TrainSettings(epochs=3, batch_size=4, checks=1)


def trained(entrant: Entrant, data: TrainingData, out: Path, stop: ShouldStop = never_stop) -> dict[str, Any] | None:
    return run(
        entrant,
        data,
        SETTINGS,
        out,
        device="cpu",
        workers=0,
        restart=False,
        on_progress=ignore_progress,
        should_stop=stop,
    )


def test_both_train_and_are_scored_alike(data: TrainingData, tmp_path: Path) -> None:
    runs = [trained(entrant, data, tmp_path) for entrant in (M2DINO, BASELINE)]
    for done in runs:
        assert done is not None
        assert done["steps"] > 0
        assert done["rows"] == {task_id: list(data.counts(task_id)) for task_id in data.tasks}
        means = done["figures"]["mean"]
        assert set(means) == set(TASKS)
        assert 0 <= means["segmentation"]["DSC"] <= 1
        assert 0 <= means["detection"]["IoU"] <= 1
        assert means["regression"]["MRE"] > 0
    text = write_tables(tmp_path)
    header = next(line for line in text.splitlines() if line.startswith("| task"))
    assert header == f"| task | metric | {M2DINO.name} | {BASELINE.name} |"
    for task_id in TASKS.values():
        assert f"| {task_id} |" in text
    for kind in TASKS:
        assert f"| **mean of {kind}** |" in text


def test_a_stopped_run_of_the_baseline_ends_with_the_same_figures(data: TrainingData, tmp_path: Path) -> None:
    """Its batch norms have statistics, which the engine's own state does not hold."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    unbroken = trained(BASELINE, data, whole)
    asked = count()
    assert trained(BASELINE, data, parts, lambda: next(asked) >= 2) is None
    assert not list(parts.glob("*.json"))
    state = read_about(resume_path(parts / f"{BASELINE.name}.safetensors"))
    assert unbroken is not None
    assert 0 < state["step"] < unbroken["steps"]
    again = trained(BASELINE, data, parts)
    assert again is not None
    assert again["figures"] == unbroken["figures"]
    kept = [read_tensors(folder / f"{BASELINE.name}.run" / "last.safetensors") for folder in (whole, parts)]
    assert all(torch.equal(value, kept[1][name]) for name, value in kept[0].items())


@pytest.mark.parametrize("kind", TASKS)
def test_every_part_of_the_baseline_that_a_task_uses_learns(kind: str) -> None:
    """The pyramid, too, which the challenge's own code leaves out of its optimiser."""
    torch.manual_seed(0)
    task = builtin_tasks()[TASKS[kind]]
    net, _ = BASELINE.build([task])
    target = {
        "segmentation": torch.randint(0, 2, (2, SIZE, SIZE)),
        "classification": torch.tensor([0, 1]),
        "detection": torch.tensor([[0.2, 0.1, 0.7, 0.9]] * 2),
        "regression": torch.rand(2, task.num_classes, 2),
    }[kind]
    output = net(net.normalise(torch.randint(0, 255, (2, 3, SIZE, SIZE), dtype=torch.uint8)), task.id)
    loss_of(output, target).backward()
    idle = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    dense = kind in ("segmentation", "detection")
    assert idle == (set() if dense else {name for name, _ in net.named_parameters() if name.startswith("decoder.")})


@pytest.mark.parametrize("kind", TASKS)
def test_the_faster_form_of_the_baseline_gives_the_same_answer(kind: str) -> None:
    """Whoever compares speeds compares the same answers."""
    task = builtin_tasks()[TASKS[kind]]
    frame, _ = picture(0)
    values = []
    for change in (lambda net: net, folded):
        torch.manual_seed(0)
        net, _ = BASELINE.build([task])
        reading = predict_frame(change(net.eval()), frame, task.id, half=False, channels_last=change is folded)
        values.append(reading.confidence)
    assert values[1] == pytest.approx(values[0], abs=1e-4)
