"""From annotations to a folder in one of the formats: whole under its name, or not there at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from m2dino.deid.whole import refuse_existing, whole_folder
from m2dino.errors import ExportError, UsageError
from m2dino.export.annotated import AnnotatedLoop, Annotation
from m2dino.export.identity import PatientOptions
from m2dino.extras import require
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.tasks import Task
from m2dino.values import TaskType

Format = Literal["coco", "fmuia", "png", "nifti", "csv", "dicom-seg", "dicom-sr"]
FORMATS: tuple[Format, ...] = get_args(Format)

_ALL: tuple[TaskType, ...] = get_args(TaskType)
_HOLDS: dict[Format, tuple[TaskType, ...]] = {
    "coco": ("segmentation", "detection", "regression"),
    "fmuia": _ALL,
    "png": ("segmentation",),
    "nifti": ("segmentation",),
    "csv": _ALL,
    "dicom-seg": ("segmentation",),
    "dicom-sr": ("segmentation", "detection", "regression"),
}
_WITH_PICTURES: tuple[Format, ...] = ("coco", "fmuia")


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    target : Path
    frames : int
        Annotated frames, counted once for each task.
    left_out : tuple of str
        What has no place in this format, and why; sentences for people.
    missing : tuple of str
        Loops that are left out for want of a DICOM file to refer to; sentences for people.
    has_pictures : bool
        Whether the frames themselves are among the files, with any text burnt into them.
    """

    target: Path
    frames: int
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    has_pictures: bool


def holds(to: Format, task: Task) -> bool:
    """Whether a format has a place for the values of a task."""
    return task.type in _HOLDS[to]


class _Stopped(Exception):
    """The person stopped the export."""


def export_annotations(
    loops: Sequence[AnnotatedLoop],
    target: Path,
    to: Format,
    patient: PatientOptions | None = None,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
) -> Exported | None:
    """Write annotations to a new folder.

    Parameters
    ----------
    loops : sequence of AnnotatedLoop
        See `annotated_loop` and `loops_of_store`.
    target : Path
        A folder that is not there yet; whole at the end, or not there.
    to : str
        One of `FORMATS`.
    patient : PatientOptions, optional
        What DICOM files say of the patient; nothing by default.

    Returns
    -------
    Exported or None
        None where `should_stop` ended it: nothing was written.

    Raises
    ------
    UsageError
        `target` is there already or cannot be written, or no such format.
    ExportError
        Nothing of it can be written in this format, and why.
    MissingExtraError
        DICOM without the extra `dicom-export`.
    """
    if to not in FORMATS:
        raise UsageError(f"{to!r} is no format; choose one of {', '.join(FORMATS)}.")
    if to.startswith("dicom"):
        require("highdicom", "dicom-export", "DICOM SEG and SR need")
    refuse_existing(target)
    kept, left_out, missing = _writable([loop for loop in loops if loop.frames], to)
    if not kept:
        raise ExportError((missing + left_out + ["There is no annotated frame to export."])[0])
    total, done = sum(len(loop.frames) for loop in kept), 0

    def counted(loop: AnnotatedLoop) -> AnnotatedLoop:
        def read(frame: int) -> Annotation:
            nonlocal done
            if should_stop():
                raise _Stopped
            on_progress(min(done, total - 1), total, f"{loop.task.id}: frame {frame}")
            done += 1
            return loop.read(frame)

        return replace(loop, read=read)

    try:
        with whole_folder(target) as part:
            left_out += _write([counted(loop) for loop in kept], part, to, patient or PatientOptions())
    except _Stopped:
        return None
    on_progress(total, total, "")
    return Exported(target, total, tuple(left_out), tuple(missing), to in _WITH_PICTURES)


def _writable(loops: Sequence[AnnotatedLoop], to: Format) -> tuple[list[AnnotatedLoop], list[str], list[str]]:
    """Return the loops that can be written, why tasks have no place in the format, and which loops lack a file."""
    kept: list[AnnotatedLoop] = []
    left_out: dict[str, None] = {}
    missing: dict[str, None] = {}
    for loop in loops:
        task, name = loop.task, loop.loop_id[:16]
        if not holds(to, task):
            holding = ", ".join(other for other in FORMATS if task.type in _HOLDS[other])
            left_out[f"The task {task.id} is a {task.type}, which {to} has no place for; choose {holding}."] = None
        elif to.startswith("dicom") and loop.loop is None:
            missing[
                f"The file of the loop {name} is not among those given, and {to} refers to it: name it, or its folder, "
                "with --loops."
            ] = None
        elif to.startswith("dicom") and loop.loop is not None and loop.loop.reader != "dicom":
            missing[
                f"The loop {name} is no DICOM file ({loop.loop.codec}), so {to} has nothing to refer to; export it as "
                "coco, png, nifti or csv."
            ] = None
        else:
            kept.append(loop)
    return kept, list(left_out), list(missing)


def _stems(loops: Sequence[AnnotatedLoop]) -> dict[str, str]:
    """Return what the names of a loop's files start with: the start of its id, or all of it where two are alike."""
    ids = dict.fromkeys(loop.loop_id for loop in loops)
    starts = [loop_id[:16] for loop_id in ids]
    return {loop_id: loop_id[:16] if starts.count(loop_id[:16]) == 1 else loop_id for loop_id in ids}


def _write(loops: list[AnnotatedLoop], folder: Path, to: Format, patient: PatientOptions) -> list[str]:
    """Write a format's files; return what turned out to have no place in it."""
    stems = _stems(loops)
    match to:
        case "coco":
            from m2dino.export.coco import write_coco

            write_coco(loops, folder, stems)
        case "fmuia":
            from m2dino.export.fmuia import write_fmuia

            write_fmuia(loops, folder, stems)
        case "png":
            from m2dino.export.pictures import write_pngs

            write_pngs(loops, folder, stems)
        case "nifti":
            from m2dino.export.nifti import write_niftis

            write_niftis(loops, folder, stems)
        case "csv":
            from m2dino.export.tables import write_tables

            write_tables(loops, folder, stems)
        case "dicom-seg":
            from m2dino.export.dicom_seg import write_segs

            write_segs(loops, folder, stems, patient)
        case "dicom-sr":
            from m2dino.export.dicom_sr import write_reports

            return write_reports(loops, folder, stems, patient)
    return []
