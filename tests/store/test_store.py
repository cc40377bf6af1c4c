"""What goes into a store comes out again, and nothing that was there is forgotten."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from m2dino.data.records import Record
from m2dino.data.store import Counts, Store
from m2dino.errors import StoreError
from m2dino.tasks import Label, Task
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Prediction, Value

KINDS = ("segmentation", "classification", "detection", "regression")
edge = st.floats(-1e6, 1e6)
VALUES: dict[str, st.SearchStrategy[Value]] = {
    "segmentation": hnp.arrays(np.uint8, (7, 5), elements=st.integers(0, 4)).map(Mask),
    "classification": st.lists(st.floats(0, 1), min_size=5, max_size=5)
    .filter(lambda numbers: sum(numbers) > 1e-3)
    .map(lambda numbers: ClassProbabilities(np.array(numbers) / sum(numbers))),
    "detection": st.tuples(edge, edge, edge, edge).map(
        lambda e: Box(min(e[0], e[2]), min(e[1], e[3]), max(e[0], e[2]), max(e[1], e[3]))
    ),
    "regression": hnp.arrays(np.float64, (5, 2), elements=edge | st.just(np.nan)).map(Keypoints),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_record_comes_back_as_it_was(kind: Any, store: Store, data: st.DataObject) -> None:
    task = Task(f"any_{kind}", kind, tuple(Label(f"{i}") for i in range(5)), "Any")
    value, proposed = data.draw(VALUES[kind]), data.draw(VALUES[kind])
    confidence, frame = data.draw(st.floats(0, 1)), data.draw(st.integers(0, 10**6))
    record = Record(
        "ab" * 16,
        frame,
        task.id,
        data.draw(st.sampled_from(["edited", "accepted"])),
        value,
        data.draw(st.none() | st.just(Prediction(frame, task.id, proposed, confidence, "m-1"))),
        data.draw(st.text(max_size=20).filter(lambda text: "\0" not in text and text.isprintable())),
        data.draw(st.floats(0, 1e5)),
        interpolated=data.draw(st.booleans()),
        group=data.draw(st.sampled_from(["", "g1", 'a "quoted, one"'])),
    )
    stored = store.save(record, np.zeros((7, 5, 3), np.uint8), task)
    assert replace(stored, created="") == record
    assert stored.created
    assert store.get(record.loop_id, frame, task.id) == stored


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_opened_again_has_everything(kind: str, case: Any, tmp_path: Path) -> None:
    with Store.open(tmp_path / "s", create=True) as store:
        saved = [store.save(case.record(kind, i), case.frames[i], case.tasks[kind]) for i in (3, 1, 2)]
    with Store.open(tmp_path / "s") as store:
        assert store.records() == sorted(saved, key=lambda record: record.frame)
        assert store.tasks() == {case.tasks[kind].id: case.tasks[kind]}
        assert np.array_equal(store.frame(case.loop, 2), case.frames[2])
        assert store.check() == []


def test_the_last_word_counts_and_the_history_keeps_the_others(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    accepted = store.save(case.record("segmentation", 0, "accepted"), case.frames[0], task)
    edited = store.save(replace(case.record("segmentation", 0), value=case.masks[5]))
    rejected = store.save(case.record("segmentation", 0, "rejected"))
    assert store.get(case.loop, 0, task.id) == rejected
    store.withdraw(case.loop, 0, task.id)
    assert store.get(case.loop, 0, task.id) is None
    assert store.records() == []
    assert store.history(case.loop, 0, task.id) == [accepted, edited, rejected, None]
    store.withdraw(case.loop, 0, task.id)
    assert len(store.history(case.loop, 0, task.id)) == 4
    store.save(edited)
    assert store.records() == [edited]


def test_fates_and_counts(case: Any, store: Store) -> None:
    task, other = case.tasks["detection"], "f" * 32
    fates = ["edited", "accepted", "rejected", "edited", "edited"]
    for frame, fate in enumerate(fates):
        store.save(case.record("detection", frame, fate, interpolated=frame == 3), case.frames[frame], task)
    store.save(case.record("detection", 0, "accepted", other), case.frames[0])
    store.save(case.record("detection", 1, "rejected", "e" * 32))
    store.withdraw(case.loop, 4, task.id)
    assert store.fates(case.loop, task.id) == {0: "edited", 1: "accepted", 2: "rejected", 3: "edited"}
    assert store.counts(task.id) == Counts(edited=1, accepted=2, rejected=2, loops=2)
    assert store.counts("never seen") == Counts(0, 0, 0, 0)
    assert [record.frame for record in store.records(loop_id=other)] == [0]
    assert len(store.records(task.id)) == 6


def test_loops_whose_ids_start_alike_keep_their_own_pictures(case: Any, store: Store) -> None:
    loops = ["a" * 16 + "1" * 16, "a" * 16 + "2" * 16, "a" * 16]
    for index, loop in enumerate(loops):
        store.save(case.record("detection", index, loop=loop), case.frames[index], case.tasks["detection"])
        store.save(case.record("detection", 7, loop=loop), case.frames[index], case.tasks["detection"])
    for index, loop in enumerate(loops):
        assert np.array_equal(store.frame(loop, 7), case.frames[index])
    assert store.check() == []


def test_the_fingerprint_is_of_what_trains_in_any_order(case: Any, tmp_path: Path) -> None:
    task = case.tasks["segmentation"]
    prints = []
    for name, order in (("one", (0, 1, 2)), ("other", (2, 0, 1))):
        with Store.open(tmp_path / name, create=True) as store:
            for frame in order:
                store.save(case.record("segmentation", frame), case.frames[frame], task)
            prints.append(store.fingerprint(task.id))
            store.save(case.record("segmentation", 5, "rejected"))
            store.save(case.record("segmentation", 6, interpolated=True), case.frames[6])
            assert store.fingerprint(task.id) == prints[-1]
            store.save(replace(case.record("segmentation", 0), value=case.masks[4]))
            assert store.fingerprint(task.id) != prints[-1]
            store.save(case.record("segmentation", 0, "accepted"))
            assert store.fingerprint(task.id) == prints[-1]
            store.withdraw(case.loop, 1, task.id)
            assert store.fingerprint(task.id) != prints[-1]
    assert prints[0] == prints[1]


def test_a_held_out_frame_stays_held_out(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    for index in range(3):
        store.save(case.record("segmentation", index), case.frames[index], task)
    keys = [(row.loop_id, row.frame) for row in store.training_rows(task.id)]
    seen = []

    def rule(held: bool) -> Any:
        def decide(rows: Any, fixed: Any, groups: Any) -> dict[tuple[str, int], bool]:
            seen.append((len(rows), dict(fixed), set(groups)))
            return {(row.loop_id, row.frame): held for row in rows}

        return decide

    assert store.divide(task.id, rule(True))[1] == dict.fromkeys(keys, True)
    store.save(case.record("segmentation", 3), case.frames[3], task)
    later = {**dict.fromkeys(keys, True), (case.loop, 3): False}
    assert store.divide(task.id, rule(False))[1] == later == store.holdout(task.id)
    assert [(count, fixed) for count, fixed, _ in seen] == [(3, {}), (4, dict.fromkeys(keys, True))]

    def refuse(rows: Any, fixed: Any, groups: Any) -> dict[tuple[str, int], bool]:
        raise ValueError

    store.save(case.record("segmentation", 4), case.frames[4], task)
    with pytest.raises(ValueError):  # noqa: PT011 (the one above)
        store.divide(task.id, refuse)
    assert store.holdout(task.id) == later


def test_a_task_may_be_renamed_but_not_change_its_kind(case: Any, store: Store) -> None:
    task = case.tasks["classification"]
    store.save(case.record("classification", 0), case.frames[0], task)
    renamed = replace(task, labels=tuple(Label(name) for name in "xyz"))
    store.save(case.record("classification", 1), case.frames[1], renamed)
    assert store.tasks()[task.id] == renamed
    with pytest.raises(StoreError, match="another id"):
        store.save(case.record("classification", 2), case.frames[2], replace(task, labels=task.labels[:2]))
    assert store.counts(task.id).edited == 2


def test_what_does_not_fit_is_refused_before_anything_is_written(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    good = case.record("segmentation", 0)
    for wrong in (
        replace(good, value=Mask(np.zeros((3, 3), np.uint8))),
        replace(good, value=Mask(case.masks[0].labels + 1)),
        replace(good, value=Box(0, 0, 1, 1)),
        replace(good, loop_id="../../etc"),
        replace(good, frame=1),
    ):
        with pytest.raises(ValueError, match=r".+"):
            store.save(wrong, case.frames[0], task)
    with pytest.raises(ValueError, match="picture"):
        store.save(good, None, task)
    with pytest.raises(ValueError, match="definition"):
        store.save(good, case.frames[0])
    assert store.records() == []
    assert store.tasks() == {}
    assert list((store.folder / "frames").iterdir()) == list((store.folder / "values").iterdir()) == []


def test_threads_share_a_store(case: Any, store: Store) -> None:
    failures: list[BaseException] = []

    def work(kind: str) -> None:
        try:
            for frame in range(6):
                store.save(case.record(kind, frame), case.frames[frame], case.tasks[kind])
                store.records(case.tasks[kind].id)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(kind,)) for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [store.counts(task.id).edited for task in case.tasks.values()] == [6] * 4
    assert store.check() == []


def test_a_missing_picture_is_a_typed_error(case: Any, store: Store) -> None:
    store.save(case.record("segmentation", 0), case.frames[0], case.tasks["segmentation"])
    with pytest.raises(StoreError, match="frame 9"):
        store.frame(case.loop, 9)
    for file in (store.folder / "values").iterdir():
        file.unlink()
    with pytest.raises(StoreError, match="does not exist"):
        store.get(case.loop, 0, case.tasks["segmentation"].id)
    assert any("does not exist" in problem.text for problem in store.check())
