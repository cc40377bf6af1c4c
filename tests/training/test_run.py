"""A training run from rows to a checkpoint: it can stop or be killed anywhere, and goes on as if it had not."""

from __future__ import annotations

import csv
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from m2dino.data.samples import LabelledFrames
from m2dino.errors import TrainingError, UsageError
from m2dino.metrics import Metric
from m2dino.network.card import ModelCard, read_card
from m2dino.network.checkpoint import load_checkpoint, read_tensors, write_tensors
from m2dino.network.config import Architecture
from m2dino.network.model import M2Dino
from m2dino.predictor import load_model
from m2dino.training import checks, temperatures
from m2dino.training.checks import HeldOut
from m2dino.training.data import TrainingData
from m2dino.training.loop import train
from m2dino.training.run import CardText, Start, finished, metric_values, run
from m2dino.training.settings import TrainSettings
from m2dino.training.state import FORMAT, read_about, resume_path, run_folder
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from tests.synthetic import HEIGHT, TASKS, WIDTH, picture
from tests.training.in_memory import after, frames

SETTINGS = TrainSettings(epochs=6, batch_size=4, seed=3, early_stop=3)
STEPS = 9
"""24 labels, six images of four labels each, four images a step."""

CHILD = """
import json, sys
from pathlib import Path
from typing import Any
import torch
torch.set_num_threads(1)
import m2dino.training.checks, m2dino.training.loop
from m2dino.network.config import Architecture
from m2dino.tasks import builtin_tasks
from m2dino.training import checks, temperatures
from m2dino.training.checks import HeldOut
from m2dino.training.data import gather
from m2dino.training.run import run
from m2dino.training.settings import TrainSettings
m2dino.training.loop.SAVE_EVERY_S = 0.0  # else there would be two minutes to wait for a state
m2dino.training.checks.STEPS_APART = 2
root, out, architecture, settings = sys.argv[1:]
run(gather([Path(root)], builtin_tasks()), Architecture(**json.loads(architecture)),
    TrainSettings.from_dict(json.loads(settings)), Path(out), device="cpu", workers=0)
"""


@pytest.fixture(autouse=True, scope="module")
def frequent_checks() -> Iterator[None]:
    """Four checks in nine steps; else so short a run would have one, at its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "STEPS_APART", 2)
        yield


def scores(out: Path) -> list[tuple[str, str, str]]:
    """Return (step, task, score) of every check in the run's figures."""
    with (run_folder(out) / "metrics.csv").open(newline="") as stream:
        return [(row["step"], row["task"], row["score"]) for row in csv.DictReader(stream) if row["score"]]


def weights(path: Path) -> dict[str, Tensor]:
    return load_checkpoint(path)[0].state_dict()


@pytest.fixture(scope="module")
def unbroken(
    frequent_checks: None, data: TrainingData, small: Architecture, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "model.safetensors"
    result = run(data, small, SETTINGS, out, device="cpu", workers=0)[1]
    assert (result.steps, result.stopped) == (STEPS, False)
    return out


def assert_equal_weights(one: Path, other: Path) -> None:
    expected, found = weights(one), weights(other)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


def test_a_run_makes_a_checkpoint_with_figures_of_every_task(unbroken: Path, data: TrainingData) -> None:
    model = load_model(unbroken, "cpu")
    assert set(model.tasks) == set(TASKS.values())
    for report in model.card.tasks.values():
        assert (report.n_train, report.n_val) == data.counts(report.task.id)
        assert report.n_train == 6
        assert report.n_val == 2
        assert report.metrics
    assert model.card.training["epochs"] == 6
    assert model.card.training["steps"] == STEPS
    assert not resume_path(unbroken).exists()
    assert sorted(entry.name for entry in unbroken.parent.iterdir()) == ["model.run", unbroken.name]
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
    assert scores(out) == scores(unbroken)
    for name in ("best_step", "score"):
        assert read_card(out).training[name] == read_card(unbroken).training[name]


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


@pytest.mark.parametrize(("asked", "steps"), [(3, 3), (12, STEPS)])
def test_a_check_that_is_stopped_counts_as_not_made(
    asked: int,
    steps: int,
    data: TrainingData,
    small: Architecture,
    unbroken: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first, and the last one at the end of all steps: a repetition makes it, and has what an unbroken run has."""
    monkeypatch.setattr(checks, "BATCH", 1)  # a check of two batches: it asks once whether to stop
    out = tmp_path / "model.safetensors"
    result = run(data, small, SETTINGS, out, device="cpu", workers=0, should_stop=after(asked))[1]
    assert (result.steps, result.stopped) == (steps, True)
    made = {step for step, _, _ in scores(out)}
    assert str(steps) not in made
    assert run(data, small, SETTINGS, out, device="cpu", workers=0)[1].steps == STEPS
    assert_equal_weights(unbroken, out)
    assert [one[:2] for one in scores(out)] == [one[:2] for one in scores(unbroken)]


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


def test_names_with_a_dot_in_them_keep_their_runs_apart(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    outs = [tmp_path / name for name in ("exp-0.25", "exp-0.5", "model.safetensors")]
    for seed, out in enumerate(outs[:2]):
        wanted = replace(SETTINGS, seed=seed)
        result = run(data, small, wanted, out, device="cpu", workers=0, should_stop=after(2))[1]
        assert (result.steps, result.stopped) == (2, True)
    for seed, out in enumerate(outs[:2]):
        about = read_about(resume_path(out))
        assert (about["step"], about["settings"]["seed"]) == (2, seed)
    assert [run_folder(out).name for out in outs] == ["exp-0.25.run", "exp-0.5.run", "model.run"]


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


def test_a_length_must_be_given_once_and_make_sense() -> None:
    for wrong in ({}, {"minutes": 1.0, "epochs": 1.0}, {"epochs": 0.0}, {"minutes": -1.0}):
        with pytest.raises(UsageError):
            TrainSettings(**wrong)
    for odd in (math.nan, math.inf):
        for name in ("minutes", "epochs"):
            with pytest.raises(UsageError, match="length"):
                TrainSettings(**{name: odd})
        with pytest.raises(UsageError, match="rates"):
            TrainSettings(epochs=1, encoder_lr=odd)
    with pytest.raises(UsageError, match="seed"):
        TrainSettings(epochs=1, seed=2**40)
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


def test_the_run_folder_tells_how_the_checkpoint_came_about(unbroken: Path, root: Path) -> None:
    folder = run_folder(unbroken)
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "best.safetensors",
        "config.json",
        "curves.png",
        "last.safetensors",
        "metrics.csv",
    ]
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["seed"] == 3
    assert config["run"]["steps"] == STEPS
    assert config["data"]["training"] == read_card(unbroken).fingerprint
    assert str(root) not in (folder / "config.json").read_text() + (folder / "metrics.csv").read_text()
    assert {task for _, task, _ in scores(unbroken)} == {*TASKS.values(), "all"}
    assert [step for step, task, _ in scores(unbroken) if task == "all"] == ["3", "5", "7", "9"]
    assert np.asarray(Image.open(folder / "curves.png")).std() > 1


def test_the_checkpoint_is_the_best_state_and_the_last_one_is_kept(unbroken: Path) -> None:
    by_step = {step: float(score) for step, task, score in scores(unbroken) if task == "all"}
    card = read_card(unbroken)
    assert card.training["score"] == pytest.approx(max(by_step.values()), abs=1e-5)
    assert by_step[str(card.training["best_step"])] == max(by_step.values())
    folder = run_folder(unbroken)
    assert_equal_weights(folder / "best.safetensors", unbroken)
    last = load_model(folder / "last.safetensors", "cpu")
    assert last.card.training["check"]["step"] == STEPS


def test_the_last_state_is_kept_where_that_is_asked_for(
    unbroken: Path, data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"
    card, result = run(data, small, replace(SETTINGS, keep="last"), out, device="cpu", workers=0)
    assert_equal_weights(run_folder(unbroken) / "last.safetensors", out)
    assert result.best is None
    assert "best_step" not in card.training, "no held-out row had a say"


def test_every_check_of_a_run_in_minutes_scores_the_rows_of_the_first(
    data: TrainingData, small: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the computer gets: scores of other rows could not be compared."""
    asked: list[float] = []
    check = checks.HeldOut.check

    def noting(self: checks.HeldOut, *given: Any) -> checks.Check | None:
        asked.append(next(one for one in given if isinstance(one, float)))
        return check(self, *given)

    monkeypatch.setattr(checks.HeldOut, "check", noting)
    monkeypatch.setattr(checks, "SECONDS_APART", 0.5)
    monkeypatch.setattr(checks, "COST", 10.0)
    settings = TrainSettings(minutes=0.05, batch_size=4, checks=3)
    part = data.only([TASKS["classification"]])
    run(part, small, settings, tmp_path / "model.safetensors", device="cpu", workers=0)
    assert len(asked) >= 2
    assert math.isfinite(asked[0])
    assert all(math.isinf(seconds) for seconds in asked[1:])


def test_a_run_whose_scores_do_not_rise_ends_early_also_after_a_stop(
    data: TrainingData, small: Architecture, tmp_path: Path
) -> None:
    still = replace(SETTINGS, epochs=20, encoder_lr=1e-12, head_lr=1e-12, early_stop=2)
    part = data.only([TASKS["detection"], TASKS["segmentation"]])
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    result = run(part, small, still, whole, device="cpu", workers=0)[1]
    assert (result.early, result.stopped) == (True, False)
    assert result.best is not None
    assert result.best.step < result.steps < 30
    run(part, small, still, parts, device="cpu", workers=0, should_stop=after(result.steps - 1))
    again = run(part, small, still, parts, device="cpu", workers=0)[1]
    assert (again.early, again.steps, again.best) == (True, result.steps, result.best)
    assert_equal_weights(whole, parts)
    assert finished(part, small, still, parts) is not None


def test_other_first_weights_are_another_run(data: TrainingData, small: Architecture, tmp_path: Path) -> None:
    files = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        files.append(tmp_path / f"{seed}.safetensors")
        save_file(timm.create_model(small.backbone, num_classes=0).state_dict(), files[-1])
    out = tmp_path / "model.safetensors"
    first, second = (Start(weights=file) for file in files)
    run(data, small, SETTINGS, out, device="cpu", workers=0, start=first, should_stop=after(1))
    for other in (second, Start()):
        with pytest.raises(TrainingError, match="--restart"):
            run(data, small, SETTINGS, out, device="cpu", workers=0, start=other)
    held = replace(data, val=data.val[:-1])
    with pytest.raises(TrainingError, match="--restart"):
        run(held, small, SETTINGS, out, device="cpu", workers=0, start=first)


def test_temperatures_are_fitted_on_the_held_out_rows_and_kept_in_the_card(
    data: TrainingData, small: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperatures, "LEAST_IMAGES", 2)
    part = data.only([TASKS["classification"], TASKS["segmentation"], TASKS["detection"]])
    out = tmp_path / "model.safetensors"
    card, _ = run(part, small, TrainSettings(epochs=2, batch_size=4), out, device="cpu", workers=0)
    found = {task_id: report.temperature for task_id, report in card.tasks.items()}
    assert found[TASKS["detection"]] == 1
    assert found[TASKS["segmentation"]] != 1
    assert all(0.2 <= value <= 10 for value in found.values())
    net = load_checkpoint(out)[0]
    held = HeldOut(LabelledFrames(part.val, part.tasks, small.image_size), 64)
    again = temperatures.fit_temperatures(net, held)
    assert again == pytest.approx({task: found[task] for task in again}, rel=1e-3)


def test_a_state_of_another_version_is_named(data: TrainingData, small: Architecture, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    part = data.only([TASKS["detection"]])
    run(part, small, SETTINGS, out, device="cpu", workers=0, should_stop=after(1))
    state = resume_path(out)
    about = read_about(state)
    del about["checks"]
    write_tensors(read_tensors(state), {"format": FORMAT, "about": json.dumps(about)}, state)
    with pytest.raises(TrainingError, match="another version"):
        run(part, small, SETTINGS, out, device="cpu", workers=0)


def test_a_stop_while_it_is_evaluated_leaves_only_that_to_do(
    data: TrainingData, small: Architecture, unbroken: Path, tmp_path: Path
) -> None:
    out, told = tmp_path / "model.safetensors", list[str]()

    def tell(done: int, total: int, text: str) -> None:
        told.append(text)

    def evaluating() -> bool:
        return any(text.startswith("evaluating") for text in told)

    result = run(data, small, SETTINGS, out, device="cpu", workers=0, on_progress=tell, should_stop=evaluating)[1]
    assert (result.steps, result.stopped) == (STEPS, True)
    assert finished(data, small, SETTINGS, out) is None
    assert_equal_weights(unbroken, out)
    told.clear()
    card, result = run(data, small, SETTINGS, out, device="cpu", workers=0, on_progress=tell)
    assert (result.steps, result.stopped) == (STEPS, False)
    assert not [text for text in told if text.startswith("step ")], "nothing is trained again"
    assert all(report.metrics for report in card.tasks.values())
    assert finished(data, small, SETTINGS, out) == card


def test_a_stop_never_takes_the_place_of_a_finished_network(
    data: TrainingData, small: Architecture, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"
    shutil.copy(unbroken, out)
    before = out.read_bytes()
    for restart in (True, False):  # a second stop neither
        card, result = run(data, small, SETTINGS, out, device="cpu", workers=0, restart=restart, should_stop=after(1))
        assert result.stopped
        assert not card.id
        assert out.read_bytes() == before
    run(data, small, SETTINGS, out, device="cpu", workers=0)
    assert_equal_weights(unbroken, out)


def test_a_figure_that_is_not_known_is_left_out_of_the_card(unbroken: Path, tmp_path: Path) -> None:
    """Such as the AUC of held-out rows of one class."""
    told = metric_values({"AUC_sound": Metric(math.nan, math.nan, math.nan, 3), "DSC": Metric(0.5, math.nan, 1, 3)})
    assert {name: (value.value, value.low) for name, value in told.items()} == {"DSC": (0.5, None)}
    card = read_card(unbroken)
    text = json.loads(card.to_json())
    text["tasks"][TASKS["classification"]]["metrics"]["AUC_sound"]["value"] = None  # as written by earlier versions
    assert "AUC_sound" in card.tasks[TASKS["classification"]].metrics
    again = ModelCard.from_json(json.dumps(text))
    assert "AUC_sound" not in again.tasks[TASKS["classification"]].metrics
