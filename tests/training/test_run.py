"""A training run from rows to a checkpoint: it can stop or be killed anywhere, and goes on as if it had not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from m2dino.data.samples import LabelledFrames
from m2dino.errors import TrainingError, UsageError
from m2dino.network.checkpoint import load_checkpoint, read_tensors
from m2dino.network.config import Architecture
from m2dino.network.model import M2Dino
from m2dino.predictor import load_model
from m2dino.training.data import TrainingData
from m2dino.training.loop import TrainResult, train
from m2dino.training.run import CardText, finished, run
from m2dino.training.settings import TrainSettings
from m2dino.training.state import read_about, resume_path
from torch import Tensor

from tests.synthetic import HEIGHT, TASKS, WIDTH, picture

SETTINGS = TrainSettings(epochs=1.5, batch_size=4, seed=3)
STEPS = 9

CHILD = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
import m2dino.training.loop
from m2dino.network.config import Architecture
from m2dino.tasks import builtin_tasks
from m2dino.training.data import gather
from m2dino.training.run import run
from m2dino.training.settings import TrainSettings
m2dino.training.loop.SAVE_EVERY_S = 0.0  # else there would be two minutes to wait for a state
root, out, architecture, settings = sys.argv[1:]
run(gather([Path(root)], builtin_tasks()), Architecture(**json.loads(architecture)),
    TrainSettings(**json.loads(settings)), Path(out), device="cpu", workers=0)
"""


def weights(path: Path) -> dict[str, Tensor]:
    return load_checkpoint(path)[0].state_dict()


def after(steps: int) -> Callable[[], bool]:
    """Return a should_stop that lets so many steps pass."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    return should_stop


@pytest.fixture(scope="module")
def unbroken(data: TrainingData, small: Architecture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "model.safetensors"
    result = run(data, small, SETTINGS, out, device="cpu", workers=0)[1]
    assert (result.steps, result.stopped) == (STEPS, False)
    return out


def assert_equal_weights(one: Path, other: Path) -> None:
    expected, found = weights(one), weights(other)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=1e-6, rtol=0)


def test_a_run_makes_a_checkpoint_with_figures_of_every_task(unbroken: Path, data: TrainingData) -> None:
    model = load_model(unbroken, "cpu")
    assert set(model.tasks) == set(TASKS.values())
    for report in model.card.tasks.values():
        assert (report.n_train, report.n_val) == data.counts(report.task.id)
        assert report.n_train == 6
        assert report.n_val == 2
        assert report.metrics
    assert model.card.training["epochs"] == 1.5
    assert model.card.training["steps"] == STEPS
    assert not resume_path(unbroken).exists()
    assert [entry.name for entry in unbroken.parent.iterdir()] == [unbroken.name]
    mask = model.predict_frames([picture(0)[0]], TASKS["segmentation"])[0].value
    assert mask.labels.shape == (HEIGHT, WIDTH)  # type: ignore[union-attr]


def test_a_killed_run_goes_on_and_equals_an_unbroken_one(
    root: Path, data: TrainingData, small: Architecture, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"
    state = resume_path(out)
    told = [str(root), str(out), json.dumps(small.to_dict()), json.dumps(SETTINGS.to_dict())]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *told], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        # The file is replaced as a whole, so whatever is read of it is one state.
        if state.exists() and read_about(state)["step"] >= 2:
            break
        time.sleep(0.02)
    child.kill()
    assert child.wait() == -9, child.stderr.read() if child.stderr else ""
    assert not out.exists()
    reached = read_about(state)["step"]
    assert 2 <= reached < STEPS
    result = run(data, small, SETTINGS, out, device="cpu", workers=0)[1]
    assert (result.steps, result.stopped) == (STEPS, False)
    assert not state.exists()
    assert_equal_weights(unbroken, out)


def test_an_interrupted_run_leaves_a_usable_checkpoint_and_finishes_when_repeated(
    data: TrainingData, small: Architecture, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"
    result = run(data, small, SETTINGS, out, device="cpu", workers=0, should_stop=after(4))[1]
    assert (result.steps, result.stopped) == (4, True)
    model = load_model(out, "cpu")
    assert model.predict_frames([picture(1)[0]], TASKS["detection"])[0].confidence >= 0
    assert finished(data, small, SETTINGS, out) is None
    assert run(data, small, SETTINGS, out, device="cpu", workers=0, should_stop=after(2))[1].steps == 6
    card, result = run(data, small, SETTINGS, out, device="cpu", workers=1)
    assert (result.steps, result.stopped) == (STEPS, False)
    assert_equal_weights(unbroken, out)
    assert finished(data, small, SETTINGS, out) == card
    assert finished(data, small, replace(SETTINGS, seed=4), out) is None
    assert finished(data.only([TASKS["detection"]]), small, SETTINGS, out) is None


def test_a_state_of_other_settings_or_data_is_refused_until_told(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"
    run(data, small, SETTINGS, out, device="cpu", workers=0, should_stop=after(1))
    state = resume_path(out).read_bytes()
    fewer = data.only([TASKS["detection"]])
    for other, settings in ((data, replace(SETTINGS, seed=9)), (fewer, SETTINGS)):
        with pytest.raises(TrainingError, match="--restart"):
            run(other, small, settings, out, device="cpu", workers=0)
    assert resume_path(out).read_bytes() == state
    short = replace(SETTINGS, epochs=0.5)
    result = run(fewer, small, short, out, device="cpu", workers=0, restart=True)[1]
    assert (result.steps, result.stopped) == (1, False)


def test_a_damaged_state_is_named(data: TrainingData, small: Architecture, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    run(data, small, SETTINGS, out, device="cpu", workers=0, should_stop=after(1))
    state = resume_path(out)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(TrainingError) as caught:
        run(data, small, SETTINGS, out, device="cpu", workers=0)
    assert str(caught.value).startswith(f"{state}: ")


def test_seeds_decide_the_first_weights(data: TrainingData, small: Architecture, tmp_path: Path) -> None:
    """Also of a second network in the same process, as the paradigms train them."""
    part = data.only([TASKS["classification"]])
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        files.append(tmp_path / f"{name}.safetensors")
        run(part, small, TrainSettings(epochs=0.1, seed=seed), files[-1], device="cpu", workers=0)
    first, same, other = (weights(file) for file in files)
    assert all(torch.equal(value, same[key]) for key, value in first.items())
    assert any((value - other[key]).abs().max() > 0.01 for key, value in first.items())


def test_a_checkpoint_of_half_precision_reports_on_what_it_holds(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    out = tmp_path / "half.safetensors"
    part = data.only([TASKS["classification"]])
    text = CardText("mine", "CC0", ("a set",), "few pictures")
    card, _ = run(part, small, TrainSettings(epochs=0.1), out, text=text, precision="float16", device="cpu", workers=0)
    assert {value.dtype for value in read_tensors(out).values()} == {torch.float16}
    assert (card.title, card.licence, card.data, card.limits) == ("mine", "CC0", ("a set",), "few pictures")
    assert card.tasks[TASKS["classification"]].metrics


def test_only_what_is_asked_for_is_trained(data: TrainingData, small: Architecture) -> None:
    torch.manual_seed(0)
    net = M2Dino(small, data.tasks.values())
    net.backbone.requires_grad_(False)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    train(net, frames(data), SETTINGS, device="cpu", workers=0, should_stop=after(3))
    changed = {key.split(".")[0] for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert "backbone" not in changed
    assert "heads" in changed


def frames(data: TrainingData) -> LabelledFrames:
    return LabelledFrames(data.train, data.tasks, 64)


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
        TrainSettings(epochs=8, batch_size=4),
        device="cpu",
        workers=0,
        state_file=state,
        on_step=on_step,
        should_stop=after(stop),
    )
    return net, result


def test_a_loss_that_is_no_number_ends_the_run_with_the_last_good_state(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    state = tmp_path / "model.resume.safetensors"
    assert trained(data, small, state, stop=3)[1].steps == 3
    with pytest.raises(TrainingError, match="last good state"):
        trained(data, small, state, stop=100, poison=5)
    assert read_about(state)["step"] == 3
    assert all(value.isfinite().all() for value in read_tensors(state).values() if value.is_floating_point())
    net, result = trained(data, small, state, stop=5)
    assert result.steps == 8
    assert all(parameter.isfinite().all() for parameter in net.parameters())


def test_a_length_must_be_given_once_and_make_sense() -> None:
    for wrong in ({}, {"minutes": 1.0, "epochs": 1.0}, {"epochs": 0.0}, {"minutes": -1.0}):
        with pytest.raises(UsageError):
            TrainSettings(**wrong)
    with pytest.raises(UsageError, match="batch"):
        TrainSettings(epochs=1, batch_size=0)


def test_a_run_in_minutes_ends_in_time(data: TrainingData, small: Architecture, tmp_path: Path) -> None:
    seen: list[int] = []
    out = tmp_path / "model.safetensors"
    _, result = run(
        data.only([TASKS["classification"]]),
        small,
        TrainSettings(minutes=0.03, batch_size=4),
        out,
        device="cpu",
        workers=0,
        on_progress=lambda done, total, text: seen.append(done if total == 1000 else -1),
    )
    assert not result.stopped
    assert 1.5 < result.seconds < 30
    shares = [done for done in seen if done >= 0]
    assert shares == sorted(shares)
    assert max(shares) == 1000
