"""A picture that is held out never trains: not under another name, not for another task, not from a folder."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from m2dino.cine.opening import open_loop
from m2dino.data.image_files import load_image
from m2dino.data.picture_names import picture_name
from m2dino.data.records import Record
from m2dino.data.rows import Row
from m2dino.data.samples import CorrectedFrame
from m2dino.data.store import Store
from m2dino.data.store_export import export_view
from m2dino.data.store_import import import_rows
from m2dino.data.store_schema import DATABASE
from m2dino.errors import TooLittleDataError
from m2dino.network.card import ModelCard, read_card
from m2dino.tasks import builtin_tasks
from m2dino.training.corrections import corrections
from m2dino.training.data import gather, read_rows
from m2dino.training.estimate import estimate
from m2dino.training.replay import Replay, gather_replay
from m2dino.training.replay_folders import divided, known_tasks
from PIL import Image

from tests.synthetic import TASKS, make_root, make_store, picture

LUMEN, BOX, POINTS = TASKS["segmentation"], TASKS["detection"], TASKS["regression"]


def shown(store: Store, records: list[Record]) -> set[str]:
    """Return the names of what records show."""
    return {picture_name(store.frame(record.loop_id, record.frame)) for record in records}


def replayed(store: Store, replay: Replay) -> set[str]:
    """Return the names of all that a fine-tune in the shared form trains on."""
    found = shown(store, replay.own.train)
    for row in replay.train:
        if isinstance(row, Row):
            found.add(picture_name(load_image(row.image)))
        else:
            assert isinstance(row, CorrectedFrame)
            found |= shown(store, [row.record])
    return found


def without_names(folder: Path) -> None:
    """Make a store one of an earlier version, which did not name pictures."""
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute("DROP TABLE pictures")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("older", [False, True])
def test_an_export_that_comes_back_doubles_nothing(older: bool, tmp_path: Path) -> None:
    folder = make_store(tmp_path / "store", loops=3)
    if older:
        without_names(folder)
    with Store.open(folder) as store:
        before = corrections(store, LUMEN)
        export_view(store, tmp_path / "out")
        done = import_rows(store, read_rows([tmp_path / "out"], [LUMEN]), builtin_tasks()[LUMEN])
        assert (done.saved, done.known) == (0, 18)
        assert corrections(store, LUMEN) == before


def as_frames_of_their_own(folder: Path, store: Store, into: Store) -> None:
    """Save the frames of a store once more, each as opened alone."""
    for record in store.records(LUMEN):
        image = folder / f"{record.loop_id[-4:]} {record.frame}.bmp"
        frame = store.frame(record.loop_id, record.frame)
        Image.fromarray(frame).save(image)
        loop = open_loop(image)
        into.save(replace(record, loop_id=loop.identity, frame=0, group=loop.identity), loop[0], builtin_tasks()[LUMEN])


@pytest.mark.parametrize("loops", [1, 3])
@pytest.mark.parametrize("older", [False, True])
def test_a_frame_opened_alone_keeps_the_side_of_its_picture(loops: int, older: bool, tmp_path: Path) -> None:
    folder = make_store(tmp_path / "store", loops=loops)
    with Store.open(folder) as store:
        before = corrections(store, LUMEN)
        as_frames_of_their_own(tmp_path, store, store)
    if older:
        without_names(folder)
    with Store.open(folder) as store:
        after = corrections(store, LUMEN)
        assert after.loops == before.loops, "they are frames of the same loops"
        assert len(after.heldout) == 2 * len(before.heldout)
        assert shown(store, after.heldout) == shown(store, before.heldout)
        assert shown(store, after.train) == shown(store, before.train)
        assert set(store.holdout(LUMEN)) >= {(record.loop_id, record.frame) for record in after.heldout}


def test_what_an_earlier_version_divided_in_two_ways_vouches_and_does_not_train(tmp_path: Path) -> None:
    folder = make_store(tmp_path / "store", loops=3)
    with Store.open(folder) as store:
        as_frames_of_their_own(tmp_path, store, store)
        held = {(row.loop_id, row.frame): row.frame > 3 for row in store.training_rows(LUMEN)}
        store.divide(LUMEN, lambda rows, fixed, groups: held)
        data = corrections(store, LUMEN)
        assert {(record.loop_id, record.frame) for record in data.heldout} == {
            key for key, side in held.items() if side
        }
        assert not shown(store, data.train) & shown(store, data.heldout)
        assert data.train


def test_frames_of_one_colour_do_not_make_loops_one(tmp_path: Path) -> None:
    task = builtin_tasks()[LUMEN]
    folder = make_store(tmp_path / "store", loops=3)
    with Store.open(folder) as store:
        blank = picture(0)[0] * 0
        for loop in range(3):
            store.save(Record(f"{loop:032x}", 9, task.id, "edited", picture(0)[1]["segmentation"]), blank, task)
        assert corrections(store, LUMEN).loops == 3


@pytest.fixture(scope="module")
def card(base: Path) -> ModelCard:
    return read_card(base)


@pytest.mark.parametrize("source", ["the store itself", "an export"])
def test_the_labels_of_other_tasks_do_not_train_what_is_held_out(source: str, card: ModelCard, tmp_path: Path) -> None:
    """Of the other task there are too few to divide, so that they come from the folder alone."""
    folder = make_store(tmp_path / "store", loops=3)
    task = builtin_tasks()[BOX]
    with Store.open(folder) as store:
        data = corrections(store, LUMEN)
        held = [(record.loop_id, record.frame) for record in data.heldout][:3]
        for loop_id, frame in held:
            index = 100 * int(loop_id, 16) + frame
            store.save(Record(loop_id, frame, BOX, "edited", picture(index)[1]["detection"]), None, task)
        if source == "an export":
            export_view(store, tmp_path / "out")
        root = folder if source == "the store itself" else tmp_path / "out"
        replay = gather_replay(card, data, [make_root(tmp_path / "more"), root], store)
        assert not replayed(store, replay) & shown(store, data.heldout)
        assert replay.train


def several(folder: Path, sides: dict[str, set[int]]) -> Path:
    """Write a store of three loops labelled for several tasks, each with its own loops held out."""
    for kind, task_id in TASKS.items():
        if task_id in sides:
            make_store(folder, kind, loops=3)
            held = sides[task_id]
            with Store.open(folder) as store:
                store.divide(
                    task_id,
                    lambda rows, fixed, groups, held=held: {  # type: ignore[misc]
                        (row.loop_id, row.frame): int(row.loop_id, 16) in held for row in rows
                    },
                )
    return folder


def test_what_is_held_out_for_any_task_trains_in_none(base: Path, card: ModelCard, tmp_path: Path) -> None:
    """Between two replayed tasks, too, and in the task itself: else it would vouch again in a later fine-tune."""
    folder = several(tmp_path / "store", {LUMEN: {0}, BOX: {1}, POINTS: {0, 1}})
    with Store.open(folder) as store:
        told = estimate(store, base, LUMEN, "shared", cache=tmp_path)
        replay = gather_replay(card, corrections(store, LUMEN), [], store)
        everything = {LUMEN: replay.own, **replay.corrected}
        trained = {record.loop_id for data in everything.values() for record in data.train}
        held = {name: {int(record.loop_id, 16) for record in data.heldout} for name, data in everything.items()}
        assert {int(loop_id, 16) for loop_id in trained} == {2}
        assert held == {LUMEN: {0}, BOX: {1}, POINTS: {0, 1}}, "and all are still measured"
        assert told.frames == len(replay.own.train) == 6
        (left_out,) = set(replay.own.cautions) - set(corrections(store, LUMEN).cautions)
        assert left_out.startswith("6 corrected frames are not learnt from")
        assert left_out in told.cautions
        alone = estimate(store, base, LUMEN, cache=tmp_path)
        assert alone.frames == 12, "alone, it cannot change what other tasks are measured by"


def test_where_other_tasks_hold_out_all_of_it_it_says_so(base: Path, card: ModelCard, tmp_path: Path) -> None:
    folder = several(tmp_path / "store", {LUMEN: {0}, BOX: {1, 2}})
    with Store.open(folder) as store:
        with pytest.raises(TooLittleDataError, match=r"all 12 frames .* held out for other tasks.* alone") as refused:
            gather_replay(card, corrections(store, LUMEN), [], store)
        with pytest.raises(TooLittleDataError) as told:
            estimate(store, base, LUMEN, "shared", cache=tmp_path)
        assert str(told.value) == str(refused.value)


def test_a_folder_val_beside_train_is_held_out(card: ModelCard, tmp_path: Path) -> None:
    make_root(tmp_path / "data" / "train", images=12)
    make_root(tmp_path / "data" / "val", images=8)
    # Its pictures are the first of train, and leave that.
    found = divided([tmp_path / "data"], known_tasks(card))
    assert {row.root.name for row in found.val} == {"val"}
    assert len(found.val) == 4 * 8
    assert len(found.train) == 4 * 4
    both = {row.image.read_bytes() for row in found.val} & {row.image.read_bytes() for row in found.train}
    assert not both


def test_a_task_that_val_says_nothing_of_is_measured_all_the_same(card: ModelCard, tmp_path: Path) -> None:
    make_root(tmp_path / "data" / "train", images=40)
    make_root(tmp_path / "data" / "val", images=8)
    for kind in ("detection", "regression", "classification"):
        (tmp_path / "data" / "val" / "csv_files" / f"{kind}.csv").unlink()
    for order in (["train", "val"], ["val", "train"]):
        found = divided([tmp_path / "data" / name for name in order], known_tasks(card))
        for task_id in TASKS.values():
            assert all(found.counts(task_id)), task_id
        assert {row.root.name for row in found.val if row.task_id == LUMEN} == {"val"}
        assert not {row.group for row in found.val} & {row.group for row in found.train}
    shutil.rmtree(tmp_path / "data" / "train")
    assert all(divided([tmp_path / "data"], known_tasks(card)).counts(LUMEN)), "alone it is a folder like any other"


def test_a_training_on_the_folder_above_train_and_val_trains_on_nothing_of_val(tmp_path: Path) -> None:
    train, val = (make_root(tmp_path / "data" / name, count) for name, count in (("train", 40), ("val", 8)))
    (val / "csv_files" / "detection.csv").unlink()
    for roots in ([tmp_path / "data"], [train, val], [val, train]):
        found = gather(roots, builtin_tasks())
        assert found.set_apart == (val.resolve(),)
        assert {row.root for row in found.val if row.task_id != BOX} == {val.resolve()}
        assert found.counts(LUMEN)[1] == 8
        assert all(found.counts(BOX)), "of what val says nothing of, a share is held out"
        assert not {row.group for row in found.val} & {row.group for row in found.train}
        assert len(found.train) + len(found.val) + found.dropped == 4 * 40 + 3 * 8
    assert [str(val.resolve()) in remark for remark in found.remarks] == [True, False]
    one = gather([tmp_path / "data"], builtin_tasks(), task_ids=[LUMEN])
    assert {row.root for row in one.val} == {val.resolve()}


def test_what_is_named_to_be_held_out_is_all_that_is(tmp_path: Path) -> None:
    """By --val, and where a folder named val has no train beside it among the data sets given."""
    counts = {"train": 12, "val": 12, "other": 4}
    train, val, other = (make_root(tmp_path / "data" / name, count) for name, count in counts.items())
    named = gather([train, val], builtin_tasks(), val_roots=[other], task_ids=[LUMEN])
    alone = gather([val], builtin_tasks(), task_ids=[LUMEN])
    assert named.set_apart == alone.set_apart == ()
    assert {row.root for row in named.val} == {other.resolve()}
    assert all(alone.counts(LUMEN))


def test_what_the_store_holds_out_of_a_folder_is_what_other_tasks_are_measured_on(
    card: ModelCard, tmp_path: Path
) -> None:
    """The folder's own division would measure them on pictures that train here, or on none."""
    root = make_root(tmp_path / "root")
    with Store.open(make_store(tmp_path / "store")) as store:
        data = corrections(store, LUMEN)
        replay = gather_replay(card, data, [root], store)
        measured = {picture_name(load_image(row.image)) for row in replay.val}
        assert {row.task_id for row in replay.val} == set(TASKS.values()) - {LUMEN}
        assert shown(store, data.heldout) <= measured
        assert not measured & replayed(store, replay)
        trained = {row.group for row in replay.train if isinstance(row, Row)}
        assert not trained & {row.group for row in replay.val}


def test_a_folder_that_gains_an_image_keeps_its_sides(tmp_path: Path) -> None:
    """It is another loop from then on, for a loop is known by all its bytes."""
    task, images = builtin_tasks()[LUMEN], tmp_path / "images"
    images.mkdir()
    with Store.open(tmp_path / "store", create=True) as store:
        sides = []
        for count in (10, 11):
            for index in range(count):
                Image.fromarray(picture(index)[0]).save(images / f"{index:02}.png")
            loop = open_loop(images)
            for index in range(count):
                value = picture(index)[1]["segmentation"]
                store.save(Record(loop.identity, index, LUMEN, "edited", value, group=loop.identity), loop[index], task)
            sides.append(corrections(store, LUMEN))
        before, after = sides
        assert len(after.train) + len(after.heldout) == 21
        assert after.loops == 1
        assert shown(store, before.heldout) <= shown(store, after.heldout)
        assert shown(store, after.train) == shown(store, before.train)
