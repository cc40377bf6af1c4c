"""The registry of tasks against the reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from m2dino.errors import TaskError
from m2dino.tasks import Task, builtin_tasks, read_task_file

from tests.tasks_reference import REFERENCE


def test_the_registry_holds_the_27_tasks_of_the_challenge() -> None:
    found = {(task.id, task.type, task.num_classes, task.group) for task in builtin_tasks()}
    assert found == set(REFERENCE)
    assert len(builtin_tasks()) == len(REFERENCE) == 27


def test_a_segmentation_starts_with_its_background_and_every_label_says_how_sure_it_is() -> None:
    for task in builtin_tasks():
        if task.type == "segmentation":
            assert task.label_names[0] == "background"
        assert {label.certainty for label in task.labels} <= {"official", "observed", "inferred", "unknown"}


def test_no_mirroring_where_left_and_right_are_part_of_the_label() -> None:
    sided = {"fetal_head_pos_cls", "fetal_sacral_pos_cls", "cardiac_multi", "cervix_multi"}
    assert sided <= {task.id for task in builtin_tasks() if not task.horizontal_flip}


@pytest.mark.parametrize(
    "pairs", ['"a"', '[["a"]]', '[["a", "b", "c"]]', '[["a", "x"]]', '[["a", "b"], ["b", "c"]]', "[[1, 2]]"]
)
def test_pairs_that_trade_names_in_a_mirror_must_be_pairs_of_the_tasks_points(pairs: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(f'[[task]]\nid = "t"\ntype = "regression"\nlabels = ["a", "b", "c"]\nmirror_pairs = {pairs}\n')
    with pytest.raises(TaskError, match=r"own\.toml.*mirror_pairs"):
        read_task_file(path)


def test_a_point_stands_in_one_kind_of_pair_only(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    task = '[[task]]\nid = "t"\ntype = "regression"\nlabels = ["a", "b", "c"]\nleft_to_right = [["a", "b"]]\n'
    path.write_text(task + 'top_to_bottom = [["b", "c"]]\n')
    with pytest.raises(TaskError, match=r"'b' stands in two"):
        read_task_file(path)
    path.write_text(task)
    (known,) = read_task_file(path)
    assert known.mirrored_order == (1, 0, 2)
    assert not known.may_turn, "what becomes of c in a turned picture is not known"


def test_pairs_say_who_takes_whose_place_and_survive_a_card(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[[task]]\nid = "t"\ntype = "regression"\nlabels = ["a", "b", "c"]\nmirror_pairs = [["c", "a"]]\n')
    (task,) = read_task_file(path)
    assert task.mirrored_order == (2, 1, 0)
    assert Task.from_dict(json.loads(json.dumps(task.to_dict()))) == task
