"""Fine-tuning on corrections: one task learns, the others stay as they were, and it can be stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.errors import TooLittleDataError, TrainingError
from m2dino.lineage import record_trained
from m2dino.network.card import read_card
from m2dino.network.checkpoint import load_checkpoint, save_checkpoint
from m2dino.network.heads import Output
from m2dino.network.model import M2Dino
from m2dino.predictor import load_model
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.training import finetune as finetuning
from m2dino.training import isolated
from m2dino.training.corrections import corrections
from m2dino.training.finetune import FinetuneProgress, FinetuneResult, FinetuneSettings, finetune
from m2dino.values import Keypoints

from tests.synthetic import SIZE, TASKS, make_store, picture

QUICK = FinetuneSettings(steps=4, pictures=10, checks=2)
OWN = Task("my_lumen", "segmentation", (Label("background"), Label("lumen")), "Mine")


def tuned(base: Path, store: Path, task_id: str, out: Path, **more: object) -> FinetuneResult:
    settings = more.pop("settings", QUICK)
    with Store.open(store) as opened:
        return finetune(opened, task_id, base, out, settings=settings, device="cpu", **more)  # type: ignore[arg-type]


@torch.inference_mode()
def answers(path: Path) -> dict[str, Output]:
    net: M2Dino = load_checkpoint(path)[0]
    images = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return {task_id: net(images, task_id) for task_id in net.tasks}


def changed(one: dict[str, Output], other: dict[str, Output]) -> set[str]:
    def same(a: Output, b: Output) -> bool:
        return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

    return {task_id for task_id in one if not same(one[task_id], other[task_id])}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", list(TASKS))
def test_only_the_one_task_changes(kind: str, base: Path, tmp_path: Path) -> None:
    """The others answer bit for bit as before; and the checkpoint that it started from is untouched."""
    store, out = make_store(tmp_path / "store", kind), tmp_path / "new" / "tuned.safetensors"
    before = digest(base)
    events: list[FinetuneProgress] = []
    result = tuned(base, store, TASKS[kind], out, on_progress=events.append)
    assert digest(base) == before
    assert changed(answers(base), answers(out)) == {TASKS[kind]}
    assert (result.train, result.heldout, result.loops, result.stopped, result.harmed) == (4, 2, 1, False, ())
    assert result.before.keys() == result.after.keys() == {TASKS[kind]}
    card = read_card(out)
    assert card == result.card
    assert card.parent_id == read_card(base).id != card.id
    assert card.tasks[TASKS[kind]].n_train == 10 + 4
    assert card.tasks[TASKS[kind]].metrics
    assert [event.done for event in events] == [0, 0, 1, 2, 3, 4]
    assert [event.metric is not None for event in events] == [False, False, False, True, False, True]


def test_a_task_of_ones_own_starts_from_nothing_and_a_second_tuning_builds_on_it(base: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    result = tuned(base, make_store(tmp_path / "own", task=OWN), OWN.id, first)
    assert result.before == {}
    assert set(result.after) == {OWN.id}
    assert changed(answers(base), answers(first)) == set()
    assert read_card(first).tasks[OWN.id].task == OWN
    assert load_model(first, "cpu").predict_frames([picture(0)[0]], OWN)[0].confidence >= 0
    tuned(first, make_store(tmp_path / "points", "regression"), TASKS["regression"], second)
    assert changed(answers(first), answers(second)) == {TASKS["regression"]}
    assert read_card(second).parent_id == read_card(first).id


def test_frames_that_are_learnt_again_are_counted_once(base: Path, tmp_path: Path) -> None:
    """A task that learns anew after another one starts from a model that has learnt it from the same folder before."""
    folder = make_store(make_store(tmp_path / "store"), "regression")
    files, old = [tmp_path / f"{number}.safetensors" for number in range(3)], base
    for file, kind in zip(files, ("segmentation", "regression", "segmentation"), strict=True):
        result = tuned(old, folder, TASKS[kind], file)
        record_trained(folder, file, old, train=result.train, heldout=result.heldout, loops=result.loops)
        assert read_card(file).tasks[TASKS[kind]].n_train == 10 + 4
        old = file
    elsewhere = tuned(old, make_store(tmp_path / "another"), TASKS["segmentation"], tmp_path / "more.safetensors")
    assert elsewhere.card.tasks[TASKS["segmentation"]].n_train == 10 + 4 + 4, "frames of another folder are others"


def test_it_learns_from_a_few_corrections(base: Path, tmp_path: Path) -> None:
    settings = FinetuneSettings(steps=60, pictures=32, checks=4)
    store = make_store(tmp_path / "store", loops=3, frames=5)
    result = tuned(base, store, TASKS["segmentation"], tmp_path / "out.safetensors", settings=settings)
    before, after = (scores[TASKS["segmentation"]]["DSC"].value for scores in (result.before, result.after))
    assert (result.train, result.heldout, result.loops) == (10, 5, 3)
    assert after > max(0.8, before + 0.1), (before, after)


def test_where_the_held_out_frames_tell_nothing_all_that_was_learnt_is_kept(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No point of them is visible: a shorter way from the base is no better then, only less learnt."""
    task = builtin_tasks()[TASKS["regression"]]
    with Store.open(tmp_path / "store", create=True) as store:
        for index in range(6):
            frame, labels = picture(index)
            value = labels["regression"] if index < 4 else Keypoints(np.full((2, 2), np.nan))
            store.save(Record("0" * 32, index, task.id, "edited", value), frame, task)
        held = [record.value for record in corrections(store, task.id).heldout]
        assert all(isinstance(value, Keypoints) and np.isnan(value.points).all() for value in held)
    files = {name: tmp_path / f"{name}.safetensors" for name in ("usual", "whole")}
    for name, file in files.items():
        if name == "whole":
            monkeypatch.setattr(isolated, "PATHS", ())
        assert tuned(base, tmp_path / "store", task.id, file).heldout == 2
    usual, whole = (load_checkpoint(file)[0].state_dict() for file in files.values())
    assert all(torch.equal(value, whole[key]) for key, value in usual.items())
    assert task.id in changed(answers(base), answers(files["usual"]))


def test_the_temperature_is_fitted_anew_where_enough_frames_are_held_out(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the base was fitted to another network; with few frames to tell, it is all that is known."""
    task_id, warm = TASKS["segmentation"], tmp_path / "warm.safetensors"
    net, card = load_checkpoint(base)
    reports = {name: replace(report, temperature=7.0) for name, report in card.tasks.items()}
    save_checkpoint(net, replace(card, tasks=reports), warm)
    few, many = make_store(tmp_path / "few"), make_store(tmp_path / "many", loops=3, frames=12)
    assert tuned(warm, few, task_id, tmp_path / "known.safetensors").card.tasks[task_id].temperature == 7
    own = make_store(tmp_path / "own", task=OWN)
    assert tuned(warm, own, OWN.id, tmp_path / "new.safetensors").card.tasks[OWN.id].temperature == 1
    files = [tmp_path / "fitted.safetensors", tmp_path / "kept.safetensors"]
    for file in files:
        assert tuned(warm, many, task_id, file).heldout >= 10
        monkeypatch.setattr(finetuning, "LEAST_IMAGES", 1000)
    fitted, kept = (read_card(file).tasks for file in files)
    assert fitted[task_id].temperature != 7
    assert kept[task_id].temperature == 7
    assert {fitted[name].temperature for name in fitted if name != task_id} == {7.0}
    one, other = (load_checkpoint(file)[0].state_dict() for file in files)
    assert all(torch.equal(value, other[key]) for key, value in one.items()), "it changes no parameter"


@pytest.mark.parametrize("frames", [1, 3])
def test_too_few_frames_are_refused_in_words(frames: int, base: Path, tmp_path: Path) -> None:
    store, out = make_store(tmp_path / "store", frames=frames), tmp_path / "out.safetensors"
    with pytest.raises(TooLittleDataError) as caught:
        tuned(base, store, TASKS["segmentation"], out)
    assert f"{TASKS['segmentation']}: {frames} corrected or accepted frames; at least 4" in str(caught.value)
    with pytest.raises(TooLittleDataError, match="lung: 0 corrected"):
        tuned(base, store, "lung", out)
    assert not out.exists()


def test_a_task_that_the_base_knows_otherwise_is_refused(base: Path, tmp_path: Path) -> None:
    other = Task(TASKS["regression"], "regression", (Label("a"), Label("b"), Label("c")), "three points")
    mine = tmp_path / "three.safetensors"
    store = make_store(tmp_path / "store", task=Task(other.id, "segmentation", OWN.labels, "t"))
    with pytest.raises(TrainingError, match="rename one of the two"):
        tuned(base, store, other.id, mine)
    assert not mine.exists()


def test_stopping_keeps_the_best_state_so_far(base: Path, tmp_path: Path) -> None:
    store, out = make_store(tmp_path / "store"), tmp_path / "out.safetensors"
    seen: list[FinetuneProgress] = []
    settings = FinetuneSettings(steps=40, pictures=8, checks=8)

    def checked_twice() -> bool:
        return sum(event.metric is not None for event in seen) >= 2

    result = tuned(
        base, store, TASKS["segmentation"], out, settings=settings, on_progress=seen.append, should_stop=checked_twice
    )
    assert result.stopped
    assert seen[-1].done == 10
    assert changed(answers(base), answers(out)) == {TASKS["segmentation"]}


@pytest.mark.parametrize("stop", [lambda seen: True, lambda seen: bool(seen) and seen[-1].done >= 1])
def test_stopped_before_anything_was_learnt_makes_no_checkpoint(
    stop: Callable[[list[FinetuneProgress]], bool], base: Path, tmp_path: Path
) -> None:
    store, out = make_store(tmp_path / "store"), tmp_path / "out.safetensors"
    seen: list[FinetuneProgress] = []
    with pytest.raises(TrainingError, match="Stopped before anything was learnt"):
        tuned(base, store, TASKS["segmentation"], out, on_progress=seen.append, should_stop=lambda: stop(seen))
    assert not out.exists()


def test_the_same_corrections_give_the_same_network(base: Path, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    for name in ("a", "b"):
        tuned(base, store, TASKS["segmentation"], tmp_path / f"{name}.safetensors")
    one, other = (load_checkpoint(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("a", "b"))
    assert all(torch.equal(value, other[key]) for key, value in one.items())


def test_a_held_out_frame_never_trains_even_when_more_are_added(tmp_path: Path) -> None:
    task_id = TASKS["segmentation"]
    held: set[tuple[str, int]] = set()
    for frames in (6, 9, 14):
        with Store.open(make_store(tmp_path / "store", frames=frames)) as store:
            data = corrections(store, task_id)
            sides = store.holdout(task_id)
        now = {(record.loop_id, record.frame) for record in data.heldout}
        trained = {(record.loop_id, record.frame) for record in data.train}
        assert len(now) + len(trained) == len(sides) == frames
        assert now == {key for key, held_out in sides.items() if held_out}
        assert held <= now
        assert not held & trained
        held = now
