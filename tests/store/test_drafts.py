"""Undecided work beside the records: it comes back as it was, never trains, and ends with the decision."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest
from m2dino.data.drafts import Content, Draft
from m2dino.data.store import Store
from m2dino.values import Prediction

LOOP = "0123456789abcdef" * 2


def content(case: Any, frame: int) -> Content:
    return Content('{"size": [1, 2]}', zlib.compress(case.masks[frame].labels.tobytes(), 1))


def test_drafts_of_every_kind_come_back_and_never_train(case: Any, store: Store) -> None:
    for kind, task in case.tasks.items():
        proposal = case.record(kind, 3).proposal
        drawn = content(case, 3) if kind == "segmentation" else Content('{"shapes": []}')
        store.keep_drafts([Draft(LOOP, 3, task.id, drawn, proposal, "seat", "Ann"), Draft(LOOP, 4, task.id, drawn)])
        with Store.open(store.folder) as again:
            third, fourth = again.drafts(LOOP, task.id)
        assert third == Draft(LOOP, 3, task.id, drawn, proposal, "seat", "Ann", third.changed)
        assert third.changed
        assert fourth.content == drawn
        assert store.counts(task.id).edited == 0
    assert store.records() == []
    assert store.check() == []


def test_a_decision_ends_the_draft_of_its_seat_alone(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    store.keep_drafts([Draft(LOOP, 0, task.id, content(case, 0), seat=seat) for seat in ("mine", "hers")])
    store.save(case.record("segmentation", 0), case.frames[0], task, seat="mine")
    assert [draft.seat for draft in store.drafts(LOOP, task.id)] == ["hers"]
    store.keep_drafts([Draft(LOOP, 0, task.id, None, seat="hers")])
    assert store.drafts(LOOP, task.id) == []


def test_all_drafts_or_none(case: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    task = case.tasks["segmentation"]
    with pytest.raises(Exception, match="NOT NULL"):
        store.keep_drafts([Draft(LOOP, 0, task.id, content(case, 0)), Draft(None, 1, task.id, content(case, 1))])  # type: ignore[arg-type]
    assert store.drafts(LOOP, task.id) == []


def test_another_programs_word_is_news_once(case: Any, store: Store) -> None:
    task = case.tasks["detection"]
    store.save(case.record("detection", 0), case.frames[0], task)
    with Store.open(store.folder) as other:
        known = other.last_number()
        assert other.news(LOOP, task.id, known) == []
        store.save(case.record("detection", 1, author="Ann"), case.frames[1])
        store.withdraw(LOOP, 0, task.id)
        first, second = other.news(LOOP, task.id, known)
        assert (first.frame, first.record, first.counts) == (0, None, True)
        assert second.record is not None
        assert second.record.author == "Ann"
        other.save(case.record("detection", 1, fate="rejected"))
        assert [(one.frame, one.counts) for one in other.news(LOOP, task.id, known)] == [(0, True), (1, False)]
        assert other.news(LOOP, task.id, first.number) == []
        assert [one.frame for one in store.news(LOOP, task.id, known)] == [1]


def test_a_proposal_of_a_mask_keeps_its_pixels(case: Any, store: Store) -> None:
    task = case.tasks["segmentation"]
    proposal = Prediction(2, task.id, case.masks[2], 0.25, "model-9")
    store.keep_drafts([Draft(LOOP, 2, task.id, None, proposal)])
    (back,) = store.drafts(LOOP, task.id)
    assert back.proposal is not None
    assert np.array_equal(back.proposal.value.labels, case.masks[2].labels)
