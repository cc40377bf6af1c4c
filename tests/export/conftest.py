"""A DICOM loop with everything of a patient in its header, and a store with records of it for a task of each type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from m2dino.cine import CineLoop, open_loop
from m2dino.data.records import Record
from m2dino.data.store import Store
from m2dino.export import AnnotatedLoop, Annotation, annotated_loop
from m2dino.tasks import Task, builtin_tasks
from m2dino.values import Box, ClassProbabilities, Keypoints, Mask, Prediction, Value, type_of

from tests.cine.making import jpeg_loop, moving_square, region
from tests.in_process import Run, runner

HEIGHT, WIDTH, FRAMES = 50, 72, 6
SECRET = "Zyxwvut"
TASKS: dict[str, Task] = {
    "segmentation": builtin_tasks()["cardiac_multi"],
    "detection": builtin_tasks()["thyroid_nodule_det"],
    "regression": builtin_tasks()["FUGC"],
    "classification": builtin_tasks()["breast_2cls"],
}
OF_THE_PATIENT: dict[str, object] = {
    "PatientName": f"{SECRET}^Jane",
    "PatientID": f"{SECRET}-1",
    "PatientBirthDate": "19770707",
    "StudyDate": "19770708",
    "StudyTime": "070707",
    "AccessionNumber": f"{SECRET}-2",
    "StudyID": f"{SECRET}-3",
    "ReferringPhysicianName": f"{SECRET}^Doc",
    "InstitutionName": f"{SECRET} Hospital",
    "StudyDescription": f"{SECRET} study",
    "StudyInstanceUID": "1.2.840.777.1",
    "SeriesInstanceUID": "1.2.840.777.2",
    "ManufacturerModelName": SECRET,
    "Manufacturer": SECRET,
    "DeviceSerialNumber": SECRET,
    "LossyImageCompression": "01",
    "LossyImageCompressionMethod": SECRET.upper(),
    "LossyImageCompressionRatio": "7",
    "FrameTime": "40",
}


def dicom_loop(path: Path, frames: int = FRAMES, **more: object) -> Path:
    """Write a loop of 0.5 mm a pixel in all of the frame but its last 12 columns."""
    whole = region(
        RegionLocationMinX0=0,
        RegionLocationMinY0=0,
        RegionLocationMaxX1=WIDTH - 13,
        RegionLocationMaxY1=HEIGHT - 1,
    )
    content = {"SequenceOfUltrasoundRegions": [whole], **OF_THE_PATIENT, **more}
    return jpeg_loop(path, moving_square(frames, HEIGHT, WIDTH), **content)


def value_of(kind: str, frame: int) -> Value:
    """Return a value of a frame: the second mask is empty, the first has holes and several pieces."""
    if kind == "segmentation":
        labels = np.zeros((HEIGHT, WIDTH), np.uint8)
        if frame != 1:
            labels[10:20, 5 + frame : 25] = 1
            labels[12:15, 10:14] = 0
            labels[30:33, 40:44] = 1
            labels[0, 0] = 3
        return Mask(labels)
    if kind == "detection":
        return Box(4.25, 3 + frame, 20, 30.5)
    if kind == "regression":
        hidden = [np.nan, np.nan] if frame == 1 else [10.0, 12.5 + frame]
        return Keypoints(np.array([hidden, [22.0, 28.5 + frame]]))
    return ClassProbabilities.certain(frame % 2, 2)


@dataclass(frozen=True)
class Setup:
    """Files on disk: the loop, and a store that knows frames 0 and 1 (edited), 4 (accepted) and 5 (rejected) of it."""

    loop_file: Path
    store: Path
    loop: CineLoop

    def annotated(self, kind: str, frames: tuple[int, ...] = (0, 1, 4), model_id: str = "model-1") -> AnnotatedLoop:
        values = [Annotation(frame, value_of(kind, frame), "edited", model_id) for frame in frames]
        return annotated_loop(self.loop, TASKS[kind], values)


@pytest.fixture(scope="session")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp(f"{SECRET}_files")
    loop = open_loop(dicom_loop(folder / f"{SECRET}.dcm"))
    with Store.open(folder / "store", create=True) as store:
        for kind, task in TASKS.items():
            for frame, fate in ((0, "edited"), (1, "edited"), (4, "accepted"), (5, "rejected")):
                value = value_of(kind, frame)
                assert type_of(value) == kind
                proposal = Prediction(frame, task.id, value, 0.5, "model-1")
                kept = None if fate == "rejected" else value
                record = Record(loop.identity, frame, task.id, fate, kept, proposal, group="g")  # type: ignore[arg-type]
                store.save(record, loop[frame], task)
            filled = Record(loop.identity, 3, task.id, "accepted", value_of(kind, 3), interpolated=True)
            store.save(filled, loop[3], task)
    yield Setup(folder / f"{SECRET}.dcm", folder / "store", loop)
    loop.close()


@pytest.fixture
def m2dino(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, by the entry point that a user's shell calls."""
    return runner(monkeypatch, capfd)
