"""`m2dino evaluate`."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from m2dino.commands.console import stop_on_interrupt, terminal_progress
from m2dino.data.durable import write_whole
from m2dino.errors import StoreWriteError, UsageError

if TYPE_CHECKING:
    from m2dino.data.fmuia_output import OutputReader
    from m2dino.data.rows import Row


def register(app: typer.Typer) -> None:
    app.command("evaluate")(evaluate)


def evaluate(
    root: Annotated[Path, typer.Argument(help="A labelled data set in the FM_UIA layout.")],
    predictions: Annotated[Path | None, typer.Option(help="A folder that `m2dino predict --fmuia` wrote.")] = None,
    checkpoint: Annotated[str, typer.Option(help="Checkpoint file, or the name of a bundled one.")] = "",
    tasks: Annotated[str, typer.Option(help="Ids of the tasks to score, with commas between; all by default.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="So many rows of each task, spread evenly; 0 for all.")] = 0,
    per_image: Annotated[Path | None, typer.Option(help="Write a CSV file with the figures of every image.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a picture of each task's best and worst here.")] = None,
    task_file: Annotated[list[Path] | None, typer.Option(help="A TOML file of your own tasks.")] = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average over larger and mirrored views; slower.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: {type: {task: {metric: value}}}.")] = False,
) -> None:
    """Score predictions, or a checkpoint: the official metrics, and clinical figures beside them."""
    from m2dino.data.fmuia import find_roots, read_root, tasks_of
    from m2dino.data.fmuia_output import OutputReader, check_apart
    from m2dino.evaluation import folder_source, model_source, pixel_sizes, score_rows
    from m2dino.predictor import load_model
    from m2dino.scoring import report
    from m2dino.tasks import load_tasks
    from m2dino.tta import TestTimeAugmented

    if predictions is not None and tta:
        raise UsageError("--tta changes how a checkpoint predicts; with --predictions it has no meaning.")
    if predictions is not None and checkpoint:
        raise UsageError("Give --predictions or --checkpoint, not both.")
    if per_image is not None and per_image.is_dir():
        raise UsageError(f"--per-image {per_image}: that is a folder; name a file.")
    if sheet is not None and sheet.is_file():
        raise UsageError(f"--sheet {sheet}: that is a file; name a folder.")
    roots = find_roots(root)
    all_rows = [row for path in roots for row in read_root(path)]
    rows = _chosen(root, all_rows, [part.strip() for part in tasks.split(",") if part.strip()], limit)
    notes = _repetitions(rows)
    reader: OutputReader | None = None
    with stop_on_interrupt() as should_stop:
        if predictions is not None:
            check_apart(rows)
            known = tasks_of(rows, load_tasks(task_file or ()))
            reader = OutputReader(predictions)
            source = folder_source(reader)
            notes += _strangers(reader, predictions, all_rows)
        else:
            model = load_model(checkpoint or "tiny", device)
            model = TestTimeAugmented(model) if tta else model
            if tasks:
                for task_id in dict.fromkeys(row.task_id for row in rows):
                    model.task(task_id)
            unknown = [task_id for task_id in dict.fromkeys(row.task_id for row in rows) if task_id not in model.tasks]
            if unknown:
                notes.append(f"left out, because the checkpoint does not know them: {', '.join(unknown)}.")
            rows = [row for row in rows if row.task_id in model.tasks]
            if not rows:
                raise UsageError(f"{root}: the checkpoint {model.id} knows none of its tasks.")
            known = tasks_of(rows, load_tasks(task_file or ()).extended(model.tasks.values()))
            source = model_source(model, should_stop)
        notes += _of_roots(root, roots, rows)
        asked = len({row.task_id for row in rows})
        scores = score_rows(
            source, rows, known, scales=pixel_sizes(all_rows), on_progress=terminal_progress(), should_stop=should_stop
        )
        if should_stop():
            notes.append(f"stopped after {len(scores)} of {asked} tasks; those that were not finished are left out.")
        if reader is not None and reader.inside_out:
            notes.append(f"{predictions}: {reader.inside_out} boxes end before they start; they count as missed.")
        empty = [task_id for task_id, each in scores.items() if not each.counts["scored"]]
        if empty:
            notes.append(f"left out, because there is not one prediction of them: {', '.join(empty)}.")
        scores = {task_id: each for task_id, each in scores.items() if task_id not in empty}
        rows = [row for row in rows if row.task_id in scores]
        for note in notes:
            print(f"m2dino: {note}", file=sys.stderr)
        print(json.dumps(report.to_json(scores), indent=1) if as_json else report.to_text(scores), flush=True)
        if per_image is not None:
            _write(per_image, report.per_image_csv(scores, rows))
        if sheet is not None and not should_stop():
            from m2dino.scoring.sheet import contact_sheet

            for task_id, each in scores.items():
                own = [row for row in rows if row.task_id == task_id]
                _write(sheet / f"{task_id}.png", contact_sheet(each, own, source))
        if should_stop():
            raise typer.Exit(130)


def _chosen(root: Path, rows: Sequence[Row], tasks: Sequence[str], limit: int) -> list[Row]:
    """Return the rows of the tasks asked for, or of all; at most `limit` of each, spread evenly."""
    found = list(dict.fromkeys(row.task_id for row in rows))
    unknown = [task_id for task_id in tasks if task_id not in found]
    if unknown:
        raise UsageError(f"{root}: no row of the task {unknown[0]!r}; there are {', '.join(found) or 'none at all'}.")
    chosen: list[Row] = []
    for task_id in dict.fromkeys(tasks) or found:
        own = [row for row in rows if row.task_id == task_id]
        count = min(limit or len(own), len(own))
        chosen += [own[i * len(own) // count] for i in range(count)]
    return chosen


def _of_roots(folder: Path, roots: Sequence[Path], rows: Sequence[Row]) -> list[str]:
    """Say how many rows are of which data set, where a folder holds several: they are scored together."""
    if len(roots) < 2:
        return []
    counts = Counter(row.root for row in rows)
    told = ", ".join(f"{counts[root.resolve()]} rows of {root.name}" for root in roots)
    return [f"{folder} holds several data sets, which are scored together: {told}."]


def _repetitions(rows: Sequence[Row]) -> list[str]:
    """Say which tasks name an image twice: it weighs double then, as in the challenge's scorer."""
    notes = []
    for task_id in dict.fromkeys(row.task_id for row in rows):
        images = [row.image for row in rows if row.task_id == task_id]
        more = len(images) - len(set(images))
        if more:
            notes.append(f"{task_id}: {more} rows name an image that another row names; each row counts.")
    return notes


def _strangers(reader: OutputReader, folder: Path, rows: Sequence[Row]) -> list[str]:
    """Say what of a folder of predictions is not used."""
    entries, masks = reader.strangers(rows)
    notes = (
        (reader.repeated, "entries repeat an earlier one; the last one counts."),
        (entries, "entries belong to no row and are ignored."),
        (masks, "PNG files belong to no row and are ignored."),
    )
    return [f"{folder}: {count} {text}" for count, text in notes if count]


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise StoreWriteError(
            f"{path}: it cannot be written ({os.strerror(error.errno or 0)}); free some space or name another place."
        ) from error
