"""`m2dino predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from m2dino.commands.console import stop_on_interrupt, terminal_progress
from m2dino.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from m2dino.cine import CineLoop
    from m2dino.data.rows import Row

Checkpoint = Annotated[str, typer.Option(help="Checkpoint file, or the name of a bundled one.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def register(app: typer.Typer) -> None:
    app.command("predict")(predict)


def frame_range(text: str, count: int) -> range:
    """Parse A:B (B exclusive, either may be left out, negative counts from the end) for a loop of `count` frames.

    Raises
    ------
    UsageError
        It is not of that form, or selects no frame.
    """
    first, colon, last = text.partition(":")
    try:
        limits = slice(int(first) if first else None, int(last) if last else None)
    except ValueError as error:
        raise UsageError(f"--frames {text}: write A:B, such as 0:10, the end not included.") from error
    if not colon and first:
        limits = slice(int(first), int(first) + 1 or None)
    chosen = range(count)[limits]
    if not chosen:
        raise UsageError(f"--frames {text}: the loop has the frames 0 to {count - 1}; this selects none.")
    return chosen


def region_of(text: str, loop: CineLoop) -> tuple[int, int, int, int] | None:
    """Return the part of the frame that --region names for a loop; None: the whole frame.

    Raises
    ------
    UsageError
        It is neither "auto" nor "whole" nor four whole numbers.
    """
    from m2dino.data.cropping import image_region

    if text in ("auto", "whole"):
        return image_region(loop) if text == "auto" else None
    try:
        y_min, x_min, y_max, x_max = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--region {text}: write auto, whole, or four whole numbers, Y_MIN,X_MIN,Y_MAX,X_MAX."
        ) from None
    return y_min, x_min, y_max, x_max


def predict(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the results.")],
    paths: Annotated[list[Path] | None, typer.Argument(help="Loops: files, or folders of files.")] = None,
    task: Annotated[str, typer.Option(help="Task id.")] = "",
    fmuia: Annotated[Path | None, typer.Option(help="A data set in the FM_UIA layout, instead of loops.")] = None,
    checkpoint: Checkpoint = "tiny",
    frames: Annotated[str, typer.Option(help="Frames A:B of each loop, the end not included.")] = ":",
    region: Annotated[
        str,
        typer.Option(
            help="What the network sees of each frame: auto (the image, where a DICOM file says where that is), "
            "whole, or Y_MIN,X_MIN,Y_MAX,X_MAX in pixels."
        ),
    ] = "auto",
    tta: Annotated[bool, typer.Option("--tta", help="Average over larger and mirrored views; slower.")] = False,
    frame_axis: Annotated[str, typer.Option(help="The axis of volumes and NumPy arrays that counts the frames.")] = "",
    device: Device = "auto",
) -> None:
    """Predict a task on loops, or every task of a data set that the checkpoint knows."""
    if fmuia is not None:
        if paths or task:
            raise UsageError("Give loops and --task, or --fmuia alone.")
        if (frames, region, frame_axis) != (":", "auto", ""):
            raise UsageError("--frames, --region and --frame-axis are for loops: a data set's images are taken whole.")
        _predict_fmuia(fmuia, checkpoint, device, out, tta)
        return
    if not paths or not task:
        raise UsageError("Say which loops, and with --task which task; `m2dino tasks` lists the tasks.")

    from m2dino.cine import open_loops
    from m2dino.data.prediction_files import LoopPredictionWriter
    from m2dino.predictor import load_model
    from m2dino.predictor import predict as predict_loop
    from m2dino.tta import TestTimeAugmented

    model = TestTimeAugmented(load_model(checkpoint, device)) if tta else load_model(checkpoint, device)
    known = model.task(task)
    progress = terminal_progress()
    with stop_on_interrupt() as should_stop:
        for path in paths:
            for loop in open_loops(path, frame_axis or None):
                seen = region_of(region, loop)
                wanted = frame_range(frames, len(loop))
                predictions = predict_loop(
                    loop,
                    known,
                    model,
                    frames=wanted,
                    region=seen,
                    on_progress=progress,
                    should_stop=should_stop,
                    on_bad_frame=lambda frame, error: print(f"m2dino: {error}", file=sys.stderr),
                )
                made = 0
                with LoopPredictionWriter(out, loop, known, seen) as writer:
                    for prediction in predictions:
                        writer.add(prediction)
                        made += 1
                print(writer.folder)
                loop.close()
                if should_stop():
                    print(f"m2dino: stopped; {made} of {len(wanted)} frames of {path} are predicted.", file=sys.stderr)
                    raise typer.Exit(130)


def _predict_fmuia(path: Path, checkpoint: str, device: str, out: Path, tta: bool) -> None:
    from m2dino.data.fmuia import find_roots, read_root, tasks_of
    from m2dino.data.fmuia_output import OutputWriter, check_apart, check_masks_apart, check_nothing_labelled
    from m2dino.evaluation import predict_rows
    from m2dino.predictor import load_model
    from m2dino.tasks import load_tasks
    from m2dino.tta import TestTimeAugmented

    model = TestTimeAugmented(load_model(checkpoint, device)) if tta else load_model(checkpoint, device)
    found = [row for root in find_roots(path) for row in read_root(root, labels=False)]
    unknown = [task_id for task_id in dict.fromkeys(row.task_id for row in found) if task_id not in model.tasks]
    if unknown:
        print(f"m2dino: left out, because the checkpoint does not know them: {', '.join(unknown)}", file=sys.stderr)
    rows = [row for row in found if row.task_id in model.tasks]
    tasks = tasks_of(rows, load_tasks().extended(model.tasks.values()))
    check_apart(rows)
    check_masks_apart(rows)
    check_nothing_labelled(out, rows)
    progress, done = terminal_progress(), 0
    left_out: list[Row] = []

    def leave_out(row: Row, error: DatasetError) -> None:
        left_out.append(row)
        print(f"m2dino: left out of {row.task_id}: {error}", file=sys.stderr)

    with stop_on_interrupt() as should_stop, OutputWriter(out, rows) as writer:
        for task_id, task in tasks.items():
            own = [row for row in rows if row.task_id == task_id]
            for row, value in predict_rows(model, own, task, should_stop=should_stop, on_unreadable=leave_out):
                writer.add(row, value)
                done += 1
                tried = done + len(left_out)
                progress(tried, len(rows), f"{task_id}: {tried} / {len(rows)}")
    print(f"{out}: {done} predictions")
    if writer.others:
        print(f"m2dino: predictions of {', '.join(sorted(writer.others))} from an earlier run stay.", file=sys.stderr)
    if should_stop():
        print(f"m2dino: stopped; {done + len(left_out)} of {len(rows)} rows are done.", file=sys.stderr)
        raise typer.Exit(130)
    if left_out:
        print(
            f"m2dino: rows without a prediction, because their images cannot be read: {len(left_out)} of {len(rows)}.",
            file=sys.stderr,
        )
        raise typer.Exit(1)
