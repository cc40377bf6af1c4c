"""The shared form of fine-tuning: others are rehearsed and measured, and one that is harmed is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from m2dino.cine.opening import open_loop
from m2dino.data.rows import Row
from m2dino.data.samples import LabelledFrames
from m2dino.data.store import Store
from m2dino.data.store_import import import_rows
from m2dino.errors import NothingToReplayError, TrainingError
from m2dino.network.card import HEADLINE, MetricValue, TaskReport, read_card
from m2dino.network.card_file import rewrite_card
from m2dino.network.checkpoint import load_checkpoint, save_checkpoint
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.training import finetune as finetuning
from m2dino.training.checks import MOST_ROWS, Check, HeldOut
from m2dino.training.colabelled import SharedForward
from m2dino.training.corrections import corrections
from m2dino.training.data import TrainingData, read_rows
from m2dino.training.finetune import FinetuneResult, FinetuneSettings, finetune
from m2dino.training.finetune_common import FinetuneProgress
from m2dino.training.loop import train
from m2dino.training.replay import gather_replay
from m2dino.training.settings import TrainSettings

from tests.synthetic import SIZE, TASKS, make_checkpoint, make_root, make_store

QUICK = FinetuneSettings(steps=4, pictures=10, checks=2)
LUMEN = TASKS["segmentation"]


def tuned(base: Path, store: Path, out: Path, settings: FinetuneSettings = QUICK, **more: object) -> FinetuneResult:
    with Store.open(store) as opened:
        return finetune(opened, LUMEN, base, out, form="shared", settings=settings, device="cpu", **more)  # type: ignore[arg-type]


def test_the_card_has_no_figure_of_a_task_that_may_have_changed_unmeasured(base: Path, tmp_path: Path) -> None:
    told, out = tmp_path / "told.safetensors", tmp_path / "out.safetensors"
    shutil.copy(base, told)
    card = read_card(told)
    figures = {
        name: replace(report, n_val=400, metrics={HEADLINE[report.task.type]: MetricValue(0.9, n=400)})
        for name, report in card.tasks.items()
    }
    rewrite_card(told, replace(card, tasks=figures))
    folder = make_store(tmp_path / "store", loops=3)
    make_store(folder, "regression", loops=3)
    result, tasks = tuned(told, folder, out), read_card(out).tasks
    assert result.verdict.unmeasured
    assert all((tasks[name].metrics, tasks[name].n_val) == ({}, 0) for name in result.verdict.unmeasured)
    assert result.after
    assert all(0 < tasks[name].n_val < 400 for name in result.after)


def test_it_wants_data_to_replay(base: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToReplayError, match="--replay"):
        tuned(base, make_store(tmp_path / "store"), tmp_path / "o.safetensors")


def test_it_replays_the_others_and_measures_them(base: Path, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    result = tuned(base, make_store(tmp_path / "store"), out, replay=[root])
    assert set(result.before) == set(result.after) == set(TASKS.values())
    old, new = (load_checkpoint(path)[0].state_dict() for path in (base, out))
    moved = {key for key, value in old.items() if not torch.equal(value, new[key])}
    assert not [key for key in moved if key.startswith(("backbone.vit.", "detail."))], "the task-free half stays"
    assert [key for key in moved if ".moe." in key]
    assert all(value.isfinite().all() for value in new.values())
    card = read_card(out)
    assert card.training["form"] == "shared"
    assert all(report.metrics for report in card.tasks.values())


def test_corrections_of_other_tasks_in_the_store_are_replayed(base: Path, tmp_path: Path) -> None:
    folder = make_store(tmp_path / "store", loops=3)
    for kind in ("regression", "detection"):
        make_store(folder, kind, loops=3)
    make_store(folder, "classification", frames=2)
    result = tuned(base, folder, tmp_path / "out.safetensors")
    assert set(result.after) == {LUMEN, TASKS["regression"], TASKS["detection"]}
    assert result.verdict.unmeasured == (TASKS["classification"],), "two frames are too few, and it says so"
    assert result.verdict.objects
    assert f"may have changed {TASKS['classification']}" in read_card(tmp_path / "out.safetensors").limits
    with Store.open(folder) as store:
        data = corrections(store, LUMEN)
        replay = gather_replay(read_card(base), data, [], store)
    held = {(record.loop_id, record.frame) for record in data.heldout}
    trained = {(record.loop_id, record.frame) for record in data.train}
    assert held
    for other in replay.corrected.values():
        assert not held & {(record.loop_id, record.frame) for record in other.train}
        assert not trained & {(record.loop_id, record.frame) for record in other.heldout}
    assert len(replay.train) == sum(len(other.train) for other in replay.corrected.values())
    assert replay.held_out == sum(len(other.heldout) for other in replay.corrected.values()) > 0


def test_a_task_is_replayed_as_the_base_knows_it_where_the_store_only_counts_its_labels(
    base: Path, tmp_path: Path
) -> None:
    """Imported without a task file, nothing of the labels says that they must not be mirrored."""
    side = Task("side", "classification", (Label("port"), Label("starboard")), "Side", horizontal_flip=False)
    numbered = Task.from_dict({"id": "side", "type": "classification", "labels": ["class 0", "class 1"]})
    folder = make_store(make_store(tmp_path / "store", loops=3), "classification", loops=3, task=numbered)
    card = read_card(base)
    card = replace(card, tasks={**card.tasks, side.id: TaskReport(side, 10)})
    with Store.open(folder) as store:
        replay = gather_replay(card, corrections(store, LUMEN), [], store)
    assert replay.tasks == {side.id: side}
    assert replay.corrected[side.id].task == side


def test_it_tells_how_it_goes(base: Path, root: Path, tmp_path: Path) -> None:
    """Loss, held-out score and seconds left, in steps of the task itself, so that a window can draw them."""
    told: list[FinetuneProgress] = []
    settings = FinetuneSettings(steps=30, pictures=10, checks=2)
    out = tmp_path / "out.safetensors"
    tuned(base, make_store(tmp_path / "store"), out, settings, replay=[root], on_progress=told.append)
    learning = [one for one in told if one.loss is not None]
    assert [one.done for one in learning] == sorted(one.done for one in learning)
    assert (learning[-1].done, learning[-1].total) == (30, 30), "the other tasks' batches are not counted"
    assert all(one.eta_s is not None for one in learning)
    scores = [one.metric for one in told if one.metric is not None]
    assert scores
    assert all(name == "score" and 0 <= value <= 1 for name, value in scores)


@pytest.mark.parametrize("during", ["looking at the data to replay: 3", "evaluating"])
def test_stopped_before_it_learns_it_ends_there_and_makes_no_checkpoint(
    during: str, base: Path, root: Path, tmp_path: Path
) -> None:
    """In the middle of a folder's pictures, and while the other tasks are measured as they were."""
    told, out = list[str](), tmp_path / "out.safetensors"

    def stop() -> bool:
        return bool(told) and told[-1].startswith(during)

    def tell(progress: FinetuneProgress) -> None:
        told.append(progress.text)

    with pytest.raises(TrainingError, match="Stopped before anything was learnt"):
        tuned(base, make_store(tmp_path / "store"), out, replay=[root], on_progress=tell, should_stop=stop)
    assert told[-1].startswith(during), "and nothing else was begun"
    assert not out.exists()


@pytest.mark.parametrize("waits", [True, False])
def test_stopped_later_it_keeps_its_best_state_and_says_what_was_not_measured(
    waits: bool, base: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task at hand is measured where that takes no time: a person waits."""
    if not waits:
        monkeypatch.setattr(finetuning, "LAST_LOOK_S", 0.0)
    seen: list[FinetuneProgress] = []
    out = tmp_path / "out.safetensors"

    def checked() -> bool:
        return any(one.metric is not None for one in seen)

    settings = FinetuneSettings(steps=30, pictures=10, checks=2)
    more = {"replay": [root], "on_progress": seen.append, "should_stop": checked}
    result = tuned(base, make_store(tmp_path / "store"), out, settings, **more)
    assert result.stopped
    assert set(result.after) == ({LUMEN} if waits else set())
    others = set(TASKS.values()) - set(result.after)
    assert set(result.verdict.unmeasured) == others
    limits = read_card(out).limits
    assert f"may have changed {', '.join(sorted(others))}: it was stopped before all was measured" in limits


def test_the_best_state_is_kept_without_a_folder_too(data: TrainingData, tmp_path: Path) -> None:
    """Heads ruined after the first of two checks: what is taken is the state that scored best, not the last."""
    net, _ = load_checkpoint(make_checkpoint(tmp_path / "c.safetensors"))
    rows = LabelledFrames(data.train, data.tasks, SIZE)
    held_out = LabelledFrames(data.val, data.tasks, SIZE)
    settings = TrainSettings(epochs=50 * 8 / len(rows), co_labelled=False, checks=2, ema=0.5)
    seen: list[Check] = []

    def ruin(_step: int, _task_id: str, _loss: float) -> None:
        if len(seen) == 1:
            for parameter in net.heads.parameters():
                parameter.data.normal_(std=10)

    more = {"held_out": held_out, "on_check": seen.append, "on_step": ruin}
    result = train(net, rows, settings, device="cpu", workers=0, **more)  # type: ignore[arg-type]
    assert result.best is not None
    assert result.best.score == max(check.score for check in seen)
    again = HeldOut(held_out, MOST_ROWS).check(SharedForward(net), 0, torch.device("cpu"), nullcontext())
    assert again.score == pytest.approx(result.best.score, abs=0.02)
    assert seen[-1].score < result.best.score, "or this shows nothing"


@pytest.fixture(scope="module")
def able(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that has learnt its four tasks a little: there is something to lose."""
    path = make_checkpoint(tmp_path_factory.mktemp("able") / "able.safetensors")
    net, card = load_checkpoint(path)
    frames = LabelledFrames([*data.train, *data.val], data.tasks, SIZE)
    train(net, frames, TrainSettings(epochs=40, batch_size=8, checks=0, ema=0.9), device="cpu", workers=0)
    save_checkpoint(net, card, path)
    return path


def test_a_task_that_is_harmed_is_named(able: Path, tmp_path: Path) -> None:
    """A rate far too high ruins what the tasks share; replay cannot save it, but the guard sees it."""
    root = make_root(tmp_path / "root", images=20)
    wild = FinetuneSettings(steps=12, checks=1, lr=0.05)
    out = tmp_path / "out.safetensors"
    result = tuned(able, make_store(tmp_path / "store"), out, wild, replay=[root])
    others = set(TASKS.values()) - {LUMEN}
    named = set(result.harmed) & others
    assert named, {name: change.text() for name, change in result.verdict.changes.items()}
    for name in others:
        change = result.verdict.changes[name]
        assert change.harmed is (name in named)
    card = read_card(out)
    assert set(card.training["harmed"]) >= named
    assert all(name in card.limits for name in named)
    assert "made other tasks worse" in card.limits
    assert result.verdict.objects


def test_where_no_task_is_named_none_fell_beyond_its_interval(able: Path, tmp_path: Path) -> None:
    root = make_root(tmp_path / "root", images=20)
    gentle = FinetuneSettings(steps=6, checks=1, lr=1e-5)
    result = tuned(able, make_store(tmp_path / "store"), tmp_path / "out.safetensors", gentle, replay=[root])
    assert set(result.verdict.changes) == set(TASKS.values())
    assert result.harmed == ()
    for change in result.verdict.changes.values():
        assert abs(change.after - change.before) < max(0.02, 0.02 * abs(change.before))


@contextmanager
def before_every_module(act: Callable[[torch.nn.Module, tuple[object, ...]], None]) -> Iterator[None]:
    """Call something before every module of every network is run."""
    handle = torch.nn.modules.module.register_module_forward_pre_hook(act)
    try:
        yield
    finally:
        handle.remove()


@pytest.mark.parametrize("form", ["isolated", "shared"])
def test_a_batch_that_the_memory_does_not_hold_is_halved_and_it_goes_on(
    form: str, base: Path, root: Path, tmp_path: Path
) -> None:
    """The error is torch's own, raised where a decoder is asked to learn from more than two pictures at once."""
    from m2dino.network.decoder import Decoder

    sizes: list[int] = []

    def full(module: torch.nn.Module, args: tuple[object, ...]) -> None:
        maps = args[0]
        if isinstance(module, Decoder) and torch.is_grad_enabled() and isinstance(maps, list):
            sizes.append(len(maps[0]))
            if sizes[-1] > 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    more = {"replay": [root]} if form == "shared" else {}
    outs = [tmp_path / "halved.safetensors", tmp_path / "whole.safetensors"]
    for out in outs:
        hindered = before_every_module(full) if out is outs[0] else nullcontext()
        with hindered, Store.open(make_store(tmp_path / out.stem)) as store:
            finetune(store, LUMEN, base, out, form=form, settings=QUICK, device="cpu", **more)  # type: ignore[arg-type]
    assert sizes[:3] == [8, 4, 2], "halved for good"
    assert set(sizes[2:]) == {2}
    halved, whole = (load_checkpoint(path)[0].state_dict() for path in outs)
    assert halved.keys() == whole.keys()
    assert max(float((value - whole[key]).abs().max()) for key, value in halved.items()) < 0.02, "as if it had fitted"


@pytest.mark.parametrize("form", ["isolated", "shared"])
def test_where_not_even_one_picture_fits_nothing_is_written(form: str, base: Path, root: Path, tmp_path: Path) -> None:
    def full(module: torch.nn.Module, args: tuple[object, ...]) -> None:
        if torch.is_grad_enabled() and type(module).__name__ == "Decoder":
            raise torch.OutOfMemoryError("CUDA out of memory.")

    more = {"replay": [root]} if form == "shared" else {}
    out = tmp_path / "out.safetensors"
    with (
        before_every_module(full),
        Store.open(make_store(tmp_path / "store")) as store,
        pytest.raises(TrainingError, match="not enough memory"),
    ):
        finetune(store, LUMEN, base, out, form=form, settings=QUICK, device="cpu", **more)  # type: ignore[arg-type]
    assert not out.exists()


def test_losses_that_are_no_numbers_end_it_and_it_says_that_nothing_was_made(
    base: Path, root: Path, tmp_path: Path
) -> None:
    out, absurd = tmp_path / "out.safetensors", FinetuneSettings(steps=30, checks=1, lr=1e30)
    with pytest.raises(TrainingError, match=r"not a number 10 times in a row\. No checkpoint was made") as told:
        tuned(base, make_store(tmp_path / "store"), out, absurd, replay=[root])
    assert "kept" not in str(told.value)


def only_one_at_a_time(module: torch.nn.Module, args: tuple[object, ...]) -> None:
    """Stand for a device that is nearly full: what is only looked at fits one picture at a time."""
    first = args[0] if args else None
    looked = not torch.is_grad_enabled() and type(module).__name__ in ("PatchEmbed", "MoEBlock")
    if looked and isinstance(first, torch.Tensor) and len(first) > 1:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.mark.parametrize("form", ["isolated", "shared"])
def test_looking_and_measuring_are_halved_where_the_memory_is_full(
    form: str, base: Path, root: Path, tmp_path: Path
) -> None:
    """The pictures' first half, what the encoder says of them, the checks and the other tasks' figures."""
    more = {"replay": [root]} if form == "shared" else {}
    outs = [tmp_path / "halved.safetensors", tmp_path / "whole.safetensors"]
    results = []
    for out in outs:
        hindered = before_every_module(only_one_at_a_time) if out is outs[0] else nullcontext()
        with hindered, Store.open(make_store(tmp_path / out.stem)) as store:
            results.append(
                finetune(store, LUMEN, base, out, form=form, settings=QUICK, device="cpu", **more)  # type: ignore[arg-type]
            )
    halved, whole = (load_checkpoint(path)[0].state_dict() for path in outs)
    assert max(float((value - whole[key]).abs().max()) for key, value in halved.items()) < 0.02, "as if it had fitted"
    assert results[0].after.keys() == results[1].after.keys()
    assert not results[0].verdict.unmeasured


def test_memory_that_runs_out_where_nothing_can_be_halved_is_a_sentence(base: Path, tmp_path: Path) -> None:
    def full(module: torch.nn.Module, args: tuple[object, ...]) -> None:
        if type(module).__name__ == "MoEBlock":
            raise RuntimeError("MPS backend out of memory (MPS allocated: 17.00 GiB). Tried to allocate 64.00 MiB.")

    out = tmp_path / "out.safetensors"
    with (
        before_every_module(full),
        Store.open(make_store(tmp_path / "store")) as store,
        pytest.raises(TrainingError, match="not enough memory to go on; close other programs"),
    ):
        finetune(store, LUMEN, base, out, settings=QUICK, device="cpu")
    assert not out.exists()


def test_what_the_store_holds_out_does_not_train_from_a_folder_either(base: Path, root: Path, tmp_path: Path) -> None:
    """And what it trains on is not measured on: here the store's frames were imported from that very folder."""
    other = builtin_tasks()[TASKS["detection"]]
    folder = make_store(tmp_path / "store", loops=3)
    rows = [row for row in read_rows([root], None) if row.task_id == other.id]
    with Store.open(folder) as store:
        assert import_rows(store, rows, other).saved == len(rows)
        replay = gather_replay(read_card(base), corrections(store, LUMEN), [root], store)
    known = replay.corrected[other.id]
    held, learnt = ({record.loop_id for record in side} for side in (known.heldout, known.train))
    assert held
    assert learnt

    def identity(row: Row) -> str:
        return open_loop(row.image).identity

    assert not held & {identity(row) for row in replay.train if isinstance(row, Row)}
    assert not learnt & {identity(row) for row in replay.val}
