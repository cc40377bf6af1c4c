"""The registry of tasks against the reference."""

from __future__ import annotations

from m2dino.tasks import builtin_tasks

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
