"""A made-up data set, and a network small enough for a study within a test."""

from __future__ import annotations

import pytest
import torch
from m2dino.study.data import StudyData, study_data
from m2dino.tasks import builtin_tasks
from m2dino.training.data import gather

from tests.synthetic import TASKS, make_root

torch.set_num_threads(1)
TASK_IDS = (TASKS["segmentation"], TASKS["regression"])


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    root = make_root(tmp_path_factory.mktemp("study") / "root", images=20)
    return study_data(gather([root], builtin_tasks(), task_ids=TASK_IDS, val_fraction=0.4, seed=7))
