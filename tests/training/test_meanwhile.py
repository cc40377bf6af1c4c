"""A store that another program writes to while a fine-tune runs: one snapshot, nothing lost, and it is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from m2dino.data.store import Store
from m2dino.data.store_reader import fingerprint_of
from m2dino.network.card import read_card
from m2dino.training.comparing import outcome
from m2dino.training.comparison_report import read_report
from m2dino.training.finetune import FinetuneProgress, FinetuneSettings, finetune

from tests.synthetic import TASKS, make_store

TASK = TASKS["segmentation"]
SETTINGS = FinetuneSettings(steps=12, pictures=10, checks=3)
WRITER = """
import sys
from m2dino.data.records import Record
from m2dino.data.store import Store
from tests.synthetic import picture
folder, task = sys.argv[1:]
saved = 0
with Store.open(folder) as store:
    for line in sys.stdin:  # an order: save so many frames, change one, take one back
        words = line.split()
        if words[0] == "save":
            for _ in range(int(words[1])):
                loop = f"{100 + saved % 7:032x}"
                frame, labels = picture(1000 + saved)
                store.save(Record(loop, saved, task, "edited", labels["segmentation"]), frame)
                saved += 1
        elif words[0] == "change":
            store.save(Record(words[1], int(words[2]), task, "edited", picture(5000)[1]["segmentation"]))
        elif words[0] == "withdraw":
            store.withdraw(words[1], int(words[2]), task)
        print(saved, flush=True)
"""


class Writer:
    """Another program, with the same store open."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), TASK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def order(self, text: str) -> int:
        """Have something done, wait for it, and return how many new frames it has saved in all."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        assert self.process.wait(timeout=30) == 0


@pytest.mark.parametrize("form", ["isolated", "shared"])
def test_one_snapshot_nothing_lost_and_it_is_said(form: str, base: Path, tmp_path: Path) -> None:
    folder, out, report = make_store(tmp_path / "store", loops=3, frames=4), tmp_path / "o.st", tmp_path / "report"
    if form == "shared":
        make_store(folder, "detection", loops=3, frames=4)
    with Store.open(folder) as store:
        before = store.training_rows(TASK)
    writer, orders = Writer(folder), ["save 3"] * 40
    saved = 0

    def write(_progress: FinetuneProgress) -> None:
        nonlocal saved
        if orders:
            saved = writer.order(orders.pop())

    with Store.open(folder) as store:
        result = finetune(
            store,
            TASK,
            base,
            out,
            form=form,  # type: ignore[arg-type]
            settings=SETTINGS,
            device="cpu",
            on_progress=write,
        )
        # Between the training and the comparison, what it stands on is changed and taken back.
        held = result.snapshot.heldout
        writer.order(f"change {held[0].loop_id} {held[0].frame}")
        for record in [*held[1:], *result.snapshot.train]:
            writer.order(f"withdraw {record.loop_id} {record.frame}")
        told = outcome(result, store, TASK, out, base, report=report, device="cpu")
    writer.end()
    assert saved >= 15, "it was written to all the time"
    assert (result.train, result.heldout) == (8, 4)
    assert result.train + result.heldout == len(before)
    card = read_card(out)
    assert card.fingerprint == fingerprint_of(before), "what it was trained on is what there was when it began"
    assert told.rows[0].after.n == 4
    assert read_report(report).heldout == 4
    assert told.rows[0].after.value == pytest.approx(result.after[TASK]["DSC"].value, abs=1e-6)
    said = f"While it trained, {saved} frames of this task were saved, changed or taken back"
    assert any(one.startswith(said) for one in result.cautions)
    assert any(one.startswith(said) for one in card.training["cautions"])
    assert any(one.startswith(said) for one in read_report(report).cautions)
    with Store.open(folder) as store:
        assert store.check() == []
        assert len(store.training_rows(TASK)) == saved + 1
        assert len(store.holdout(TASK)) == len(before), "nothing new was divided without being asked"
