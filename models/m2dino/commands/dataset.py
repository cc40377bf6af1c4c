"""`m2dino dataset check | import | export | rebuild`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from m2dino.errors import DatasetError, UsageError

if TYPE_CHECKING:
    from m2dino.data.store_import import Imported

dataset_app = typer.Typer(help="Labelled data sets (FM_UIA layout) and stores of corrections.", no_args_is_help=True)
_Output = Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")]


def register(app: typer.Typer) -> None:
    app.add_typer(dataset_app, name="dataset")


@dataset_app.command("check")
def check(
    root: Annotated[Path, typer.Argument(help="A data set, a folder of several, or a store of corrections.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every fault of a data set or store, with file and line; exit status 1 where one is an error.

    Of a folder of several data sets, such as train and val, also what they have in common.
    """
    from m2dino.data.fmuia import check_roots, find_roots
    from m2dino.data.store import Store
    from m2dino.data.store_schema import DATABASE

    if (root / DATABASE).is_file():
        with Store.open(root) as store:
            problems = store.check()
    else:
        problems = check_roots(find_roots(root), _progress)
    errors = sum(problem.level == "error" for problem in problems)
    if as_json:
        listed = [{"file": str(p.file), "line": p.line, "level": p.level, "text": p.text} for p in problems]
        print(json.dumps(listed, indent=1))
    else:
        for problem in problems:
            print(problem)
        counts = ", ".join(
            f"{count} {name}{'' if count == 1 else 's'}"
            for name, count in (("error", errors), ("warning", len(problems) - errors))
        )
        print(f"{root}: {counts if problems else 'no problem found'}.")
    if errors:
        raise typer.Exit(1)


@dataset_app.command("import")
def import_(
    root: Annotated[Path, typer.Argument(help="A data set in the FM_UIA layout, or a COCO file of a loop.")],
    task: Annotated[str, typer.Option(help="Id of the task whose rows are taken.")],
    output: _Output,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first N rows.")] = None,
    task_file: Annotated[
        list[Path] | None, typer.Option(help="A TOML file of your own tasks; may be repeated.")
    ] = None,
    loop: Annotated[Path | None, typer.Option(help="The loop whose frames the labels are of.")] = None,
    first_frame: Annotated[
        int, typer.Option(min=0, help="The number of that loop's first frame in the names of the images.")
    ] = 0,
    frame_axis: Annotated[str, typer.Option(help="The axis of a volume or array that counts its frames.")] = "",
) -> None:
    """Turn labelled rows into accepted records of a store, which is made where there is none.

    Without --loop each image is a loop of its own, and its task, if not known, becomes your own; of a folder with train
    and val, only train is taken. With --loop the labels become those of the loop's frames. What a person has corrected,
    rejected or taken back since an earlier import stays as it is.
    """
    if loop is not None:
        _import_for_loop(root, task, output, limit, task_file or [], loop, first_frame, frame_axis)
        return
    if root.is_file():
        raise UsageError(f"{root}: say with --loop which loop its images are of.")
    from m2dino.data.fmuia import read_root, tasks_of
    from m2dino.data.store import Store
    from m2dino.data.store_import import import_rows
    from m2dino.tasks import load_tasks

    chosen = _one_root(root)
    rows = read_root(chosen, [task])
    if not rows:
        found = sorted({row.task_id for row in read_root(chosen)})
        raise DatasetError(f"{chosen}: no row of the task {task!r}; there are {', '.join(found) or 'none at all'}.")
    definition = tasks_of(rows, load_tasks(task_file or ()))[task]
    with Store.open(output, create=True) as store:
        done = import_rows(store, rows[:limit], definition, _progress)
    print(f"{output}: {done.saved} rows of {task} saved{_others(done)}.")


def _others(done: Imported) -> str:
    """Say what became of the labels that an import did not save."""
    counts = (
        (done.known, "were there already"),
        (done.kept, "left as people decided them"),
        (done.repeated, "repeated an earlier picture"),
    )
    return "".join(f", {count} {text}" for count, text in counts if count)


def _one_root(path: Path) -> Path:
    """Return the data set at `path`, of a folder with train and val the first."""
    from m2dino.data.fmuia import find_roots

    roots = find_roots(path)
    if len(roots) > 1 and roots[0].name != "train":
        raise UsageError(f"{path} holds {len(roots)} data sets; choose one of them.")
    return roots[0]


def _import_for_loop(
    source: Path,
    task: str,
    output: Path,
    limit: int | None,
    task_files: list[Path],
    path: Path,
    first_frame: int,
    frame_axis: str,
) -> None:
    from itertools import islice

    from m2dino.cine import open_loop
    from m2dino.data.fmuia import read_root, tasks_of
    from m2dino.data.store import Store
    from m2dino.data.store_import import import_values
    from m2dino.export import read_coco, read_fmuia
    from m2dino.tasks import load_tasks

    known = load_tasks(task_files)
    loop = open_loop(path, frame_axis or None)
    try:
        if source.is_dir():
            root = _one_root(source)
            definition = tasks_of(read_root(root, [task]), known).get(task) or known[task]
            values = read_fmuia(root, definition, loop, first_frame)
        else:
            definition = known[task]
            values = read_coco(source, definition, loop, first_frame)
        with Store.open(output, create=True) as store:
            done = import_values(store, loop, definition, dict(islice(values.items(), limit)), _progress)
    finally:
        loop.close()
    print(f"{output}: {done.saved} frames of {task} saved{_others(done)}.")


@dataset_app.command("export")
def export(
    store: Annotated[Path, typer.Argument(help="A store of corrections.")],
    output: _Output,
) -> None:
    """Copy the labels of a store, in the FM_UIA layout, to a new folder."""
    from m2dino.data.store import Store
    from m2dino.data.store_export import export_view

    with Store.open(store) as opened:
        tables = export_view(opened, output)
    print(f"{output}: {tables} {'table' if tables == 1 else 'tables'} written.")


@dataset_app.command("rebuild")
def rebuild(store: Annotated[Path, typer.Argument(help="A store of corrections.")]) -> None:
    """Write the FM_UIA layout inside a store anew from its records."""
    from m2dino.data.store import Store

    with Store.open(store) as opened:
        opened.rebuild_view()
    print(f"{store}: rebuilt.")


def _progress(done: int, total: int, text: str) -> None:
    """Show progress on a terminal; stay quiet in a pipe."""
    if sys.stderr.isatty():
        end = "\r" if done < total else "\r\033[K"
        print(f"{done} / {total} {text}\033[K" if done < total else "", end=end, file=sys.stderr, flush=True)
