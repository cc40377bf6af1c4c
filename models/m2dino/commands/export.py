"""`m2dino export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from m2dino.commands.console import stop_on_interrupt, terminal_progress
from m2dino.errors import UsageError

_FORMATS = "coco, fmuia, png, nifti, csv, dicom-seg or dicom-sr"


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    store: Annotated[Path, typer.Argument(help="A store of corrections.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A new folder.")],
    to: Annotated[str, typer.Option(help=f"The format: {_FORMATS}.")],
    task: Annotated[
        list[str] | None, typer.Option(help="Id of a task; may be repeated. All tasks of the store without it.")
    ] = None,
    fates: Annotated[str, typer.Option(help="Which records: accepted, edited or both, with a comma.")] = (
        "accepted,edited"
    ),
    loops: Annotated[
        list[Path] | None,
        typer.Option(
            help="The loops themselves, files or folders; may be repeated. For millimetres and times, and for DICOM."
        ),
    ] = None,
    frame_axis: Annotated[str, typer.Option(help="The axis of volumes and NumPy arrays that counts the frames.")] = "",
    keep_identity: Annotated[
        bool, typer.Option("--keep-identity", help="DICOM: keep the patient's name, number, dates and all UIDs.")
    ] = False,
    salt: Annotated[str, typer.Option(help="DICOM: the secret of `m2dino deid`, to refer to its copies.")] = "",
) -> None:
    """Write what people accepted and corrected in a format that other programs read."""
    from m2dino.data.store import Store
    from m2dino.export import FORMATS, PatientOptions, export_annotations, find_loops, loops_of_store
    from m2dino.export.annotated import ExportFate

    if to not in FORMATS:
        raise UsageError(f"--to {to}: choose {_FORMATS}.")
    if (keep_identity or salt) and not to.startswith("dicom"):
        raise UsageError("--keep-identity and --salt are for DICOM alone: no other format says whose the loop is.")
    if keep_identity and salt:
        raise UsageError("--salt makes new UIDs and --keep-identity keeps the old ones: give one of them.")
    patient = PatientOptions(keep_identity, salt.encode()) if salt else PatientOptions(keep_identity)
    chosen = cast("list[ExportFate]", [word.strip() for word in fates.split(",") if word.strip()])
    with Store.open(store) as opened, stop_on_interrupt() as should_stop:
        wanted = {loop.loop_id for loop in loops_of_store(opened, task or (), chosen)}
        files = find_loops(loops or (), wanted, frame_axis or None)
        try:
            annotated = loops_of_store(opened, task or (), chosen, files)
            done = export_annotations(annotated, output, to, patient, terminal_progress(), should_stop)
        finally:
            for loop in files.values():
                loop.close()
    if done is None:
        print("m2dino: stopped; nothing was written.", file=sys.stderr)
        raise typer.Exit(130)
    for sentence in (*done.left_out, *done.missing):
        print(f"m2dino: left out: {sentence}", file=sys.stderr)
    if done.has_pictures:
        print("m2dino: the frames are among the files as they are, with any text burnt into them.", file=sys.stderr)
    if keep_identity:
        print("m2dino: the files name the patient, as was asked for.", file=sys.stderr)
    print(f"{done.target}: {done.frames} annotated {'frame' if done.frames == 1 else 'frames'} as {to}.")
    if done.missing:
        raise typer.Exit(1)
