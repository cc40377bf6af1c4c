"""What goes wrong in the middle of a training, losses that are no numbers and files that go, costs what it must."""

from __future__ import annotations

import math
import multiprocessing
import shutil
from pathlib import Path

import pytest
import torch
from m2dino.data.samples import LabelledFrames
from m2dino.errors import DatasetError, TrainingError
from m2dino.network.card import ModelCard, TaskReport
from m2dino.network.checkpoint import read_tensors
from m2dino.network.config import Architecture
from m2dino.network.model import M2Dino
from m2dino.predictor import load_model
from m2dino.tasks import builtin_tasks
from m2dino.training.data import TrainingData, gather
from m2dino.training.loop import TrainResult, train
from m2dino.training.losses import deep_loss
from m2dino.training.run import run
from m2dino.training.run_folder import RunFolder
from m2dino.training.settings import TrainSettings
from m2dino.training.state import read_about
from torch import Tensor

from tests.synthetic import TASKS
from tests.tables import read_table, write_table
from tests.training.in_memory import after, frames


def trained(
    data: TrainingData, small: Architecture, state: Path, stop: int, poison: int | None = None
) -> tuple[M2Dino, TrainResult]:
    """Train from the seed, or from the state; poison a weight after a step."""
    torch.manual_seed(0)
    net = M2Dino(small, data.tasks.values())

    def on_step(step: int, task_id: str, loss: float) -> None:
        if step == poison:
            with torch.no_grad():
                next(net.backbone.vit.patch_embed.parameters())[0] = torch.nan

    result = train(
        net,
        frames(data),
        TrainSettings(epochs=32, batch_size=4),
        device="cpu",
        workers=0,
        state_file=state,
        on_step=on_step,
        should_stop=after(stop),
    )
    return net, result


def begun(data: TrainingData, small: Architecture, folder: Path) -> tuple[M2Dino, RunFolder]:
    """Return a network from the seed, and a folder for its run."""
    torch.manual_seed(0)
    net = M2Dino(small, data.tasks.values())
    card = ModelCard("t", small, {task_id: TaskReport(task, 1) for task_id, task in data.tasks.items()})
    return net, RunFolder(folder / "model.run", card)


def test_a_loss_that_is_no_number_ends_the_run_with_the_last_good_state(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    state = tmp_path / "model.resume.safetensors"
    assert trained(data, small, state, stop=3)[1].steps == 3
    with pytest.raises(TrainingError, match="not a number 10 times"):
        trained(data, small, state, stop=100, poison=5)
    assert read_about(state)["step"] == 3
    assert all(value.isfinite().all() for value in read_tensors(state).values() if value.is_floating_point())
    net, result = trained(data, small, state, stop=5)
    assert result.steps == 8, "the five steps after the three that were kept"
    assert all(parameter.isfinite().all() for parameter in net.parameters())


def test_what_was_good_before_is_a_checkpoint_that_the_message_names(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    """Also where the bad losses are of other tasks in turn, of none ten times."""
    net, folder = begun(data, small, tmp_path)

    def on_step(step: int, task_id: str, loss: float) -> None:
        if step == 3:
            for head in net.heads.values():
                next(iter(head.parameters())).data.fill_(torch.nan)

    settings = TrainSettings(epochs=48, batch_size=4, co_labelled=False)
    with pytest.raises(TrainingError, match="10 times in a row") as caught:
        train(net, frames(data), settings, device="cpu", workers=0, folder=folder, on_step=on_step)
    assert str(folder.last) in str(caught.value)
    assert len({row["step"] for row in folder.rows() if row["loss"] == "nan"}) == 10
    kept = load_model(folder.last, "cpu").net
    assert all(parameter.isfinite().all() for parameter in kept.parameters())


def test_a_file_that_goes_while_it_is_trained_on_is_named_and_costs_nothing(
    root: Path, small: Architecture, tmp_path: Path
) -> None:
    """In a worker, whose errors arrive with a traceback."""
    before = set(multiprocessing.active_children())
    own = Path(shutil.copytree(root, tmp_path / "root"))
    data = gather([own], builtin_tasks())
    state = tmp_path / "model.resume.safetensors"
    torch.manual_seed(0)
    net = M2Dino(small, data.tasks.values())

    def on_step(step: int, task_id: str, loss: float) -> None:
        for image in (own / "Data" / "images").iterdir():
            image.unlink()

    settings = TrainSettings(epochs=1000, batch_size=4)
    # Without what a worker keeps of pictures that it has seen.
    uncached = LabelledFrames(data.train, data.tasks, 64, cache_bytes=0)
    with pytest.raises(DatasetError) as caught:
        train(net, uncached, settings, device="cpu", workers=1, state_file=state, on_step=on_step)
    assert "does not exist" in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert read_about(state)["step"] >= 1
    assert set(multiprocessing.active_children()) <= before


def test_a_worker_that_is_killed_is_told_in_a_sentence_and_the_command_may_be_repeated(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"
    settings = TrainSettings(epochs=3.0, batch_size=1)

    def kill(done: int, total: int, text: str) -> None:
        for worker in multiprocessing.active_children():
            worker.kill()

    with pytest.raises(TrainingError, match=r"ended from outside.*--workers 0"):
        run(data, small, settings, out, device="cpu", workers=1, on_progress=kill)
    card, result = run(data, small, settings, out, device="cpu", workers=0)
    assert not result.stopped
    assert card.training["steps"] == result.steps


def test_held_out_rows_of_another_definition_are_refused_before_the_training(root: Path, tmp_path: Path) -> None:
    val = Path(shutil.copytree(root, tmp_path / "val"))
    table = val / "csv_files" / "classification.csv"
    rows = [{**row, "num_classes": "4", "mask": "3"} for row in read_table(table)]
    for other in (val / "csv_files").iterdir():
        other.unlink()
    write_table(table, [rows[0]])
    with pytest.raises(DatasetError, match=r"classification.csv, line 2: .* num_classes 4"):
        gather([root], builtin_tasks(), val_roots=[val])
    # A task that nobody asked for is not looked at.
    gather([root], builtin_tasks(), val_roots=[val], task_ids=[TASKS["detection"]])


def test_a_step_whose_loss_is_no_number_is_left_out_and_noted(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    """A head that is broken for two steps spoils those, and nothing that is learnt."""
    net, folder = begun(data, small, tmp_path)
    head = next(net.heads[net.key(TASKS["regression"])].parameters())

    def on_step(step: int, task_id: str, loss: float) -> None:
        if step == 2:
            kept.append(head.detach().clone())
            head.data.fill_(torch.nan)
        elif step == 4 and torch.isnan(head).all():
            head.data.copy_(kept[0])

    kept: list[Tensor] = []
    before = {key: value.clone() for key, value in net.state_dict().items()}
    settings = TrainSettings(epochs=4, batch_size=4)
    result = train(net, frames(data), settings, device="cpu", workers=0, folder=folder, on_step=on_step)
    assert (result.steps, result.left_out) == (6, 2)
    noted = [(row["step"], row["task"]) for row in folder.rows() if row["loss"] == "nan"]
    assert noted == [("3", TASKS["regression"]), ("4", TASKS["regression"])]
    assert all(value.isfinite().all() for key, value in net.state_dict().items() if "heads.task_FUGC" not in key)
    assert any(not torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_run_ended_by_losses_that_were_no_numbers_gets_another_chance(
    data: TrainingData, small: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state may be sound and the cause gone, such as a number format of another device."""
    state = tmp_path / "model.resume.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("m2dino.training.loop.deep_loss", lambda *given: deep_loss(*given) * math.nan)
        with pytest.raises(TrainingError, match="10 times in a row"):
            trained(data, small, state, stop=1000)
    reached = read_about(state)["step"]
    assert trained(data, small, state, stop=4)[1].steps == reached + 4
