"""What a fine-tune would do, said before it is begun, and refused as the fine-tune would refuse."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.errors import M2DinoError, NothingToReplayError, OneClassError, OtherTaskError, TooLittleDataError
from m2dino.network.card import ModelCard, TaskReport, read_card
from m2dino.network.checkpoint import save_checkpoint
from m2dino.network.config import preset
from m2dino.network.model import M2Dino
from m2dino.tasks import Label, Task, builtin_tasks
from m2dino.training.estimate import estimate
from m2dino.training.finetune import FinetuneSettings, finetune
from m2dino.training.speed import Speed, key_of, remember, remembered
from m2dino.training.trial import measure_speed
from m2dino.values import ClassProbabilities, Keypoints, Mask, Value

from tests.synthetic import HEIGHT, TASKS, WIDTH, make_root, make_store, picture

LUMEN = TASKS["segmentation"]
QUICK = FinetuneSettings(steps=4, pictures=10, checks=2)


def refusal(store: Path, base: Path, task_id: str, out: Path, form: str = "isolated") -> M2DinoError:
    """Return what the estimate raises, after comparing it with what the fine-tune raises."""
    with Store.open(store) as opened:
        with pytest.raises(M2DinoError) as told:
            estimate(opened, base, task_id, form)  # type: ignore[arg-type]
        before = opened.holdout(task_id)
        with pytest.raises(M2DinoError) as raised:
            finetune(opened, task_id, base, out, form=form, settings=QUICK, device="cpu")  # type: ignore[arg-type]
        assert before == {}
    assert (type(told.value), str(told.value)) == (type(raised.value), str(raised.value))
    assert not out.exists()
    return told.value


def labelled(path: Path, kind: str, values: list[Value], task: Task | None = None) -> Path:
    """Write a store of one loop with these labels."""
    task = task or builtin_tasks()[TASKS[kind]]
    with Store.open(path, create=True) as store:
        for index, value in enumerate(values):
            store.save(Record("ab" * 16, index, task.id, "edited", value), picture(index)[0], task)
    return path


def test_it_says_what_the_fine_tune_then_does(base: Path, tmp_path: Path) -> None:
    with Store.open(make_store(tmp_path / "store", loops=4, frames=3)) as store:
        told = estimate(store, base, LUMEN, settings=QUICK, cache=tmp_path)
        assert store.holdout(LUMEN) == {}, "a look at a button fixes nothing"
        assert told.seconds is None
        assert told.text == (
            "train on 9 corrected frames of 4 loops (3 more are held out), task carotid_artery; "
            "time on this CPU not measured yet"
        )
        result = finetune(store, LUMEN, base, tmp_path / "o.safetensors", settings=QUICK, device="cpu", cache=tmp_path)
        assert (told.frames, told.held_out, told.loops) == (result.train, result.heldout, result.loops) == (9, 3, 4)
        again = estimate(store, tmp_path / "o.safetensors", LUMEN, settings=QUICK, cache=tmp_path)
    assert again.seconds == pytest.approx(result.seconds, rel=0.25), "the same again takes as long"
    assert again.text.endswith(" s on this CPU")


def test_more_frames_and_steps_take_longer_by_what_was_measured(base: Path, tmp_path: Path) -> None:
    speed = Speed(start=2, picture=0.1, encode=0.05, head_step=0.01, step=0.05, score=0.2)
    card, task = read_card(base), builtin_tasks()[LUMEN]
    remember(key_of(card, task, "isolated", "cpu"), speed, tmp_path)
    with Store.open(make_store(tmp_path / "store", frames=10)) as store:
        told = estimate(store, base, LUMEN, cache=tmp_path)
    # 8 frames 20 times; 160 steps of 8, a fifth of them of everything; 2 frames scored 8 + 1 + 3 times.
    assert told.seconds == pytest.approx(2 + 160 * 0.15 + 160 * 8 * (0.8 * 0.01 + 0.2 * 0.05) + 2 * 12 * 0.2)
    assert "; about 55 s on this CPU" in told.text
    # A task from nothing needs 240 steps, and there is nothing before and nothing half-way to score.
    new = speed.seconds(FinetuneSettings(), "isolated", False, 8, 2)
    assert new == pytest.approx(2 + 160 * 0.15 + 240 * 8 * (0.8 * 0.01 + 0.2 * 0.05) + 2 * 8 * 0.2)
    long = replace(FinetuneSettings(), steps=2400)
    assert speed.seconds(long, "isolated", True, 8, 2) > 5 * told.seconds
    assert remembered(key_of(card, task, "shared", "cpu"), tmp_path) is None
    assert remembered(key_of(card, task, "isolated", "cuda"), tmp_path) is None


def test_a_damaged_cache_is_no_measurement(base: Path, tmp_path: Path) -> None:
    key = key_of(read_card(base), builtin_tasks()[LUMEN], "isolated", "cpu")
    remember(key, Speed(start=1), tmp_path)
    (file,) = tmp_path.iterdir()
    for text in ("{", "[]", f'{{"{key}": 3}}', f'{{"{key}": {{"start": "x"}}}}', f'{{"{key}": {{"other": 1}}}}'):
        file.write_text(text)
        assert remembered(key, tmp_path) is None
    remember(key, Speed(start=1), tmp_path / file.name / "below a file")


@pytest.mark.parametrize("kind", list(TASKS))
def test_a_trial_measures_a_computer_that_has_not_trained_yet(kind: str, base: Path, tmp_path: Path) -> None:
    with Store.open(make_store(tmp_path / "store", kind)) as store:
        assert estimate(store, base, TASKS[kind], cache=tmp_path).seconds is None
        speed = measure_speed(base, builtin_tasks()[TASKS[kind]], "cpu", cache=tmp_path)
        assert speed is not None
        assert min(speed.picture, speed.encode, speed.head_step, speed.step, speed.score) > 0
        assert (estimate(store, base, TASKS[kind], cache=tmp_path).seconds or 0) > 0


def test_a_trial_of_the_shared_form_replays_another_task_that_the_model_knows(base: Path, tmp_path: Path) -> None:
    folder = make_store(tmp_path / "store", "regression", loops=3)
    make_store(folder, loops=3)
    with Store.open(folder) as store:
        assert estimate(store, base, LUMEN, "shared", cache=tmp_path).seconds is None
        speed = measure_speed(base, builtin_tasks()[LUMEN], "cpu", "shared", cache=tmp_path)
        assert speed is not None
        assert min(speed.step, speed.score) > 0
        told = estimate(store, base, LUMEN, "shared", settings=QUICK, cache=tmp_path)
        out = tmp_path / "o.safetensors"
        done = finetune(
            store, LUMEN, base, out, form="shared", settings=QUICK, device="cpu", cache=tmp_path / "elsewhere"
        )
    assert told.seconds is not None
    assert 0.3 < told.seconds / done.seconds < 3


def test_a_model_of_one_task_has_nothing_to_replay(tmp_path: Path) -> None:
    alone = tmp_path / "alone.safetensors"
    task = builtin_tasks()[LUMEN]
    architecture = preset("tiny").with_options(image_size=64)
    save_checkpoint(M2Dino(architecture, [task]), ModelCard("alone", architecture, {LUMEN: TaskReport(task, 1)}), alone)
    assert measure_speed(alone, task, "cpu", "shared", cache=tmp_path) is not None
    with Store.open(make_store(tmp_path / "store")) as store:
        told = estimate(store, alone, LUMEN, "shared", cache=tmp_path)
    assert told.seconds is not None
    assert told.of_others == "Experts and gates learn, too; the model knows no other task."


def test_it_refuses_as_the_fine_tune_does(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    few = refusal(make_store(tmp_path / "few", frames=3), base, LUMEN, out)
    assert isinstance(few, TooLittleDataError)
    assert "3 corrected or accepted frames; at least 4" in str(few)

    empty = labelled(tmp_path / "empty", "segmentation", [Mask(np.zeros((HEIGHT, WIDTH), np.uint8))] * 6)
    told = refusal(empty, base, LUMEN, out)
    assert isinstance(told, TooLittleDataError)
    assert str(told) == f"{LUMEN}: all 4 masks to learn from are empty; draw the structure on some frames."

    nowhere = labelled(tmp_path / "nowhere", "regression", [Keypoints(np.full((2, 2), np.nan))] * 6)
    assert "show no point" in str(refusal(nowhere, base, TASKS["regression"], out))

    one = labelled(tmp_path / "one", "classification", [ClassProbabilities.certain(1, 2)] * 6)
    told = refusal(one, base, TASKS["classification"], out)
    assert isinstance(told, OneClassError)
    assert f"of the class {builtin_tasks()[TASKS['classification']].labels[1].name}," in str(told)

    three = Task(LUMEN, "segmentation", (Label("a"), Label("b"), Label("c")), "three classes")
    other = refusal(make_store(tmp_path / "other", task=three), base, LUMEN, out)
    assert isinstance(other, OtherTaskError)
    assert "knows carotid_artery as segmentation with 2 labels" in str(other)

    assert isinstance(refusal(make_store(tmp_path / "store"), base, LUMEN, out, "shared"), NothingToReplayError)


def test_it_names_the_tasks_that_would_be_replayed(base: Path, tmp_path: Path) -> None:
    """From folders and from the store; a folder that has none, or is not one, is refused as by the fine-tune."""
    root = make_root(tmp_path / "root")
    folder = make_store(tmp_path / "store", "regression", loops=3)
    make_store(folder, loops=3)
    speed = Speed(start=1, score=1)
    remember(key_of(read_card(base), builtin_tasks()[LUMEN], "shared", "cpu"), speed, tmp_path)
    with Store.open(folder) as store:
        one = estimate(store, base, LUMEN, "shared", cache=tmp_path)
        more = estimate(store, base, LUMEN, "shared", cache=tmp_path, replay=[root])
        assert one.replayed == (TASKS["regression"],)
        assert more.replayed == tuple(sorted(set(TASKS.values()) - {LUMEN}))
        assert one.unseen == tuple(sorted(set(more.replayed) - set(one.replayed)))
        assert one.of_others.endswith(" 2 more tasks of the model can change unseen: there are no data of them here.")
        assert more.unseen == ()
        assert more.of_others.endswith("They can change, for better or worse, and are measured before and after.")
        assert "no other task can change" in estimate(store, base, LUMEN, cache=tmp_path).of_others
        assert one.seconds is not None
        assert more.seconds is not None
        assert more.seconds > one.seconds, "more tasks are measured before and after"
        (tmp_path / "empty").mkdir()
        for wrong in (tmp_path / "empty", tmp_path / "nowhere"):
            with pytest.raises(M2DinoError) as told:
                estimate(store, base, LUMEN, "shared", replay=[wrong])
            with pytest.raises(M2DinoError) as raised:
                finetune(store, LUMEN, base, tmp_path / "o.safetensors", form="shared", replay=[wrong], settings=QUICK)
            assert (type(told.value), str(told.value)) == (type(raised.value), str(raised.value))
    only = make_root(tmp_path / "only")
    for table in (only / "csv_files").iterdir():
        if table.stem != "segmentation":
            table.unlink()
    with Store.open(make_store(tmp_path / "alone")) as store, pytest.raises(NothingToReplayError):
        estimate(store, base, LUMEN, "shared", replay=[only])


def test_one_frame_that_shows_something_is_enough(base: Path, tmp_path: Path) -> None:
    shown = picture(0)[1]["segmentation"]
    blank = Mask(np.zeros((HEIGHT, WIDTH), np.uint8))
    with Store.open(labelled(tmp_path / "s", "segmentation", [blank, blank, blank, shown, blank])) as store:
        assert estimate(store, base, LUMEN).frames == 4


def test_a_look_needs_no_torch(base: Path, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    code = (
        "import sys; from pathlib import Path; from m2dino.data.store import Store\n"
        "from m2dino.training.estimate import estimate\n"
        f"print(estimate(Store.open({str(store)!r}), Path({str(base)!r}), {LUMEN!r}).frames, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4", "False"]
