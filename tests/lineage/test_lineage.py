"""The line of models: promote, keep aside, roll back, and harm that has to be accepted."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from m2dino.errors import HarmError, LineageError, NotACheckpointError, StoreSchemaError
from m2dino.lineage import checkpoint_folder, keep_aside, promote, read_lineage, record_trained, roll_back
from m2dino.lineage.acts import DATABASE
from m2dino.network.card import bundled_checkpoint, read_card
from m2dino.network.checkpoint import load_checkpoint

from tests.command_line.conftest import assert_one_sentence
from tests.in_process import Run
from tests.lineage.conftest import FALL, OTHER, TASK
from tests.synthetic import make_checkpoint

Tuned = Callable[..., Path]


def name(path: Path) -> str:
    return read_card(path).id


def states(dataset: Path) -> dict[str, str]:
    return {one.id: one.state for one in read_lineage(dataset).models}


def test_what_promoting_refuses_is_told_before_of_a_model_that_is_no_fine_tune_too(
    dataset: Path, base: Path, tuned: Tuned
) -> None:
    """Else the window offers a plain "Promote" that is refused every time."""
    first = tuned("m1", 1)
    record_trained(dataset, first, base, train=8, heldout=2, loops=3)
    promote(dataset, first)
    whole = make_checkpoint(checkpoint_folder(dataset) / "whole.safetensors", seed=9)
    with pytest.raises(HarmError) as caught:
        promote(dataset, whole)
    line = read_lineage(dataset)
    assert list(line.get(name(whole)).objections) == caught.value.said != []
    assert line.get(name(base)).objections == ()
    assert line.get(name(first)).objections == ()


def test_going_back_passes_over_the_model_in_use_itself(dataset: Path, base: Path, tuned: Tuned) -> None:
    first, second = tuned("m1", 1), tuned("m2", 2)
    for file in (first, second):
        record_trained(dataset, file, base, train=8, heldout=2, loops=3)
    for file in (first, second, first):
        promote(dataset, file, despite_harm=True)
    second.unlink()
    with pytest.raises(LineageError, match="was not in use before"):
        roll_back(dataset, to=name(first))
    assert roll_back(dataset).in_use.file == base


def test_promote_keep_aside_and_roll_back(dataset: Path, base: Path, tuned: Tuned) -> None:
    first, second, third = (tuned(f"m{seed}", seed) for seed in (1, 2, 3))
    for file in (first, second, third):
        record_trained(dataset, file, base, train=8, heldout=2, loops=3)
    assert read_lineage(dataset).in_use is None
    assert states(dataset) == {name(base): "base", **dict.fromkeys(map(name, (first, second, third)), "undecided")}
    promote(dataset, first)
    keep_aside(dataset, second)
    line = promote(dataset, third)
    assert line.used == (name(base), name(first), name(third))
    assert states(dataset) == {
        name(base): "base",
        name(first): "used before",
        name(second): "kept aside",
        name(third): "in use",
    }
    assert roll_back(dataset).in_use.file == first
    assert states(dataset)[name(third)] == "taken back"
    assert roll_back(dataset).in_use.file == base, "back to what the first was trained from"
    with pytest.raises(LineageError, match="no model was in use before"):
        roll_back(dataset)
    assert promote(dataset, second).in_use.file == second, "what was kept aside may be taken later"
    model = read_lineage(dataset).get(name(second))
    assert (model.train, model.heldout, model.loops, model.parent) == (8, 2, 3, name(base))
    assert model.made.startswith("20")
    kinds = [act.kind for act in read_lineage(dataset).acts]
    assert kinds == ["trained"] * 3 + ["promoted", "kept aside", "promoted", "rolled back", "rolled back", "promoted"]


def test_promoting_twice_is_once_and_what_is_in_use_is_not_aside(dataset: Path, base: Path, tuned: Tuned) -> None:
    file = tuned("m1", 1)
    assert promote(dataset, file) == promote(dataset, file)
    with pytest.raises(LineageError, match="in use"):
        keep_aside(dataset, file)
    assert read_lineage(dataset).used[1:] == (name(file),)


def test_one_can_go_back_to_any_model_that_was_in_use(dataset: Path, base: Path, tuned: Tuned) -> None:
    files = [tuned(f"m{seed}", seed) for seed in (1, 2, 3)]
    for file in files:
        promote(dataset, file)
    with pytest.raises(LineageError, match="was not in use"):
        roll_back(dataset, "nobody")
    assert roll_back(dataset, name(files[0])).in_use.file == files[0]
    with pytest.raises(LineageError, match="was not in use"):
        roll_back(dataset, name(files[2]))


def test_a_checkpoint_that_has_gone_is_passed_over(dataset: Path, tuned: Tuned) -> None:
    files = [tuned(f"m{seed}", seed) for seed in (1, 2, 3)]
    ids = [name(file) for file in files]
    for file in files:
        promote(dataset, file)
    files[1].unlink()
    assert read_lineage(dataset).get(ids[1]).card is None
    with pytest.raises(LineageError, match="has gone"):
        roll_back(dataset, ids[1])
    assert roll_back(dataset).in_use.file == files[0]


def test_the_folder_can_be_moved(dataset: Path, tuned: Tuned) -> None:
    files = [tuned(f"m{seed}", seed) for seed in (1, 2)]
    for file in files:
        promote(dataset, file)
    moved = dataset.with_name("elsewhere")
    shutil.move(dataset, moved)
    assert read_lineage(moved).in_use.file == moved / "checkpoints" / "m2.safetensors"
    assert roll_back(moved).in_use.file == moved / "checkpoints" / "m1.safetensors"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"harmed": [OTHER], "changes": {OTHER: FALL}}, r"FUGC became worse: MRE 10\.000 -> 14\.000, \+4\.000 \(\+2"),
        ({"harmed": [TASK]}, "carotid_artery, the task itself, became worse"),
        ({"unmeasured": ["lung", "heart"]}, "could not be measured: lung, heart"),
        ({"doubts": ["Another class?"]}, "Another class"),
    ],
)
def test_harm_has_to_be_accepted_and_stands_in_the_card(
    dataset: Path, base: Path, tuned: Tuned, told: dict[str, object], says: str
) -> None:
    file = tuned("m1", 1, **told)
    before, weights = file.read_bytes(), load_checkpoint(file)[0].state_dict()
    with pytest.raises(HarmError, match=says) as caught:
        promote(dataset, file)
    assert len(caught.value.said) == 1
    assert file.read_bytes() == before
    assert read_lineage(dataset).in_use is None
    line = promote(dataset, file, despite_harm=True)
    assert line.in_use.file == file
    assert line.in_use.accepted == tuple(caught.value.said)
    net, card = load_checkpoint(file)
    assert card.id == name(file) == line.used[-1], "the model is the same"
    assert "Taken into use" in card.limits
    assert caught.value.said[0] in card.limits
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())
    assert "dataset" not in card.limits, "no path leaves in the card"
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []


def test_a_task_is_tuned_from_the_base_again_and_not_from_its_last_model(
    dataset: Path, base: Path, tuned: Tuned
) -> None:
    first = tuned("m1", 1)
    again = tuned("m2", 2, parent=first)
    other = tuned("m3", 3, parent=again, task=OTHER)
    for file, parent in ((first, base), (again, first), (other, again)):
        record_trained(dataset, file, parent, train=8, heldout=2, loops=3)
    line = read_lineage(dataset)
    assert line.start_for(TASK, name(again)).file == base
    assert line.start_for(OTHER, name(again)).file == again
    assert line.start_for(OTHER, name(other)).file == again
    assert line.start_for(TASK, name(other)).file == other, "what the other task learnt since is not thrown away"
    assert line.start_for(TASK, "unknown") is None


def test_a_checkpoint_that_was_not_entered_belongs_to_the_line(dataset: Path, tuned: Tuned) -> None:
    """A kill between writing the file and entering it, or a file that was copied there."""
    file = tuned("m1", 1)
    (file.parent / "text.safetensors").write_text("in the way")
    (one,) = [model for model in read_lineage(dataset).models if model.state != "base"]
    assert (one.file, one.state, one.train) == (file, "undecided", None)
    assert one.made.startswith("20")


def test_the_bundled_model_is_the_base_of_what_came_from_it(dataset: Path, tuned: Tuned) -> None:
    file = tuned("m1", 1, parent=bundled_checkpoint())
    assert promote(dataset, file).before.file == bundled_checkpoint()
    assert roll_back(dataset).in_use.file == bundled_checkpoint()


def test_what_is_no_checkpoint_or_no_line_is_refused(dataset: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no checkpoint")
    for act in (promote, keep_aside):
        with pytest.raises(NotACheckpointError):
            act(dataset, text)
    assert read_lineage(tmp_path / "nowhere").models == ()
    (dataset / "checkpoints" / DATABASE).write_bytes(b"not a database" * 400)
    with pytest.raises(StoreSchemaError, match=rf"{DATABASE}: the database is damaged"):
        read_lineage(dataset)


def test_the_command_does_the_same(dataset: Path, base: Path, tuned: Tuned, inside: Run) -> None:
    good, bad = tuned("good", 1), tuned("bad", 2, harmed=[OTHER], changes={OTHER: FALL})
    record_trained(dataset, good, base, train=8, heldout=2, loops=3)
    digest = hashlib.sha256(bad.read_bytes()).hexdigest()
    assert inside("lineage", "promote", dataset, good).returncode == 0
    assert_one_sentence(inside("lineage", "promote", dataset, bad), "--despite-harm")
    assert hashlib.sha256(bad.read_bytes()).hexdigest() == digest
    assert inside("lineage", "aside", dataset, name(bad)).returncode == 0
    shown = inside("lineage", "show", dataset)
    assert f"*  {name(good)}" in shown.stdout
    assert "kept aside" in shown.stdout
    assert "8 + 2 of 3" in shown.stdout
    assert f"against {name(bad)}: FUGC became worse" in shown.stdout
    assert inside("lineage", "promote", dataset, "bad.safetensors", "--despite-harm").returncode == 0
    told = json.loads(inside("lineage", "show", dataset, "--json").stdout)
    assert told["in_use"] == name(bad)
    assert told["used"] == [name(base), name(good), name(bad)]
    by_id = {one["id"]: one for one in told["models"]}
    assert by_id[name(bad)]["accepted"] == by_id[name(bad)]["objections"] != []
    assert by_id[name(good)]["train"] == 8
    assert name(good) in inside("lineage", "rollback", dataset).stdout
    assert name(base) in inside("lineage", "rollback", dataset).stdout
    assert_one_sentence(inside("lineage", "rollback", dataset), "no model was in use before")
    assert_one_sentence(inside("lineage", "show", dataset / "none"), "no such dataset folder")


def test_a_model_that_would_lose_what_another_task_has_learnt_is_used_only_knowingly(
    dataset: Path, base: Path, tuned: Tuned
) -> None:
    first = tuned("lumen", 1)
    record_trained(dataset, first, base, train=8, heldout=2, loops=3)
    promote(dataset, first)
    beside, after = tuned("points", 2, task=OTHER), tuned("points-after", 3, parent=first, task=OTHER)
    record_trained(dataset, beside, base, train=8, heldout=2, loops=3)
    record_trained(dataset, after, first, train=8, heldout=2, loops=3)
    (said,) = read_lineage(dataset).get(name(beside)).objections
    assert "lumen" in said
    assert f"learnt of {TASK}" in said
    with pytest.raises(HarmError, match=f"learnt of {TASK}"):
        promote(dataset, beside)
    assert read_lineage(dataset).get(name(after)).objections == ()
    assert promote(dataset, after).in_use.file == after
    again = tuned("points-again", 4, parent=first, task=OTHER)  # learnt anew, with all corrections so far
    record_trained(dataset, again, first, train=9, heldout=2, loops=3)
    assert promote(dataset, again).in_use.file == again
    once_more = tuned("lumen-again", 5)
    record_trained(dataset, once_more, base, train=9, heldout=2, loops=3)
    with pytest.raises(HarmError, match=f"learnt of {OTHER}"):
        promote(dataset, once_more)
    assert promote(dataset, once_more, despite_harm=True).in_use.file == once_more
    assert f"learnt of {OTHER}" in read_card(once_more).limits


def test_no_new_checkpoint_is_written_over_a_model_that_may_be_wanted(
    dataset: Path, base: Path, tuned: Tuned, tmp_path: Path, inside: Run
) -> None:
    """Wherever it lies: in use, used before, kept aside, or what another was made from. Undecided, it is replaced."""
    mine = tmp_path / "mine.safetensors"
    shutil.move(tuned("mine", 1), mine)
    aside, undecided, parent = tuned("aside", 2), tuned("undecided", 3), tuned("parent", 4)
    child = tuned("child", 5, parent=parent, task=OTHER)
    for file, old in ((mine, base), (aside, base), (undecided, base), (parent, base), (child, parent)):
        record_trained(dataset, file, old, train=8, heldout=2, loops=3)
    again = ("finetune", dataset, "--task", TASK, "--checkpoint", bundled_checkpoint(), "-o")
    assert_one_sentence(inside(*again, mine), "no store")  # it got as far as the corrections, which are not there
    promote(dataset, mine)
    keep_aside(dataset, aside)
    assert_one_sentence(inside(*again, mine), f"{mine}: the model in use", name(mine), "another name")
    assert_one_sentence(inside(*again, mine, "--estimate"), f"{mine}: the model in use")
    assert_one_sentence(inside(*again, mine.parent / "dataset" / ".." / mine.name), "the model in use")
    promote(dataset, child, despite_harm=True)
    assert_one_sentence(inside(*again, mine), "in use before")
    assert_one_sentence(inside(*again, aside), "kept aside")
    assert_one_sentence(inside(*again, parent), "others were made from")
    roll_back(dataset)
    assert_one_sentence(inside(*again, child), "taken back")
    for file in (undecided, tmp_path / "new.safetensors"):
        assert_one_sentence(inside(*again, file), "no store")
    mine.unlink()
    assert_one_sentence(inside(*again, mine), "the model in use")
    aside.unlink()
    assert_one_sentence(inside(*again, aside), "no store")


@pytest.mark.parametrize("damage", ["gone", "cut short", "another"])
def test_where_the_model_in_use_has_gone_no_other_is_started_from_unasked(
    damage: str, dataset: Path, base: Path, tuned: Tuned, tmp_path: Path, inside: Run
) -> None:
    first, second = tuned("m1", 1), tuned("m2", 2, task=OTHER)
    for file in (first, second):
        record_trained(dataset, file, base, train=8, heldout=2, loops=3)
        promote(dataset, file, despite_harm=True)
    words = ("finetune", dataset, "--task", TASK, "-o", tmp_path / "new.safetensors")
    assert_one_sentence(inside(*words), "no store")
    if damage == "gone":
        second.unlink()
    else:
        second.write_bytes(second.read_bytes()[:500] if damage == "cut short" else base.read_bytes())
    for more in ((), ("--estimate",)):
        assert_one_sentence(inside(*words, *more), f"{second}: the model in use has gone or is damaged", "rollback")
    assert_one_sentence(inside(*words, "--checkpoint", base), "no store")
    assert inside("lineage", "rollback", dataset).returncode == 0
    assert_one_sentence(inside(*words), "no store")
