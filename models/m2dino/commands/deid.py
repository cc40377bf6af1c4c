"""`m2dino deid`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from m2dino.errors import UsageError


def register(app: typer.Typer) -> None:
    app.command("deid")(deid)


def deid(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A loop, or a folder with loops in it.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The copy: a new file, or a folder of copies.")],
    box: Annotated[str, typer.Option(help="The part of every frame to keep: Y_MIN,X_MIN,Y_MAX,X_MAX in pixels.")] = "",
    retain: Annotated[
        list[str] | None, typer.Option(help="Keep also: device, patient (sex, age, size, weight) or institution.")
    ] = None,
    salt: Annotated[str, typer.Option(help="Secret that makes new UIDs the same in every run.")] = "",
    frame_axis: Annotated[
        str, typer.Option(help="The axis of volumes (x, y, z, t) and NumPy arrays (0, 1, 2) that counts the frames.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write copies without what identifies the patient: DICOM PS3.15 Basic Profile, burnt-in text masked."""
    from m2dino.deid import DeidOptions, deidentify
    from m2dino.deid.options import Retain
    from m2dino.deid.profile import RETAINED

    unknown = set(retain or ()) - set(RETAINED)
    if unknown:
        raise UsageError(f"--retain {sorted(unknown)[0]}: choose from {', '.join(sorted(RETAINED))}.")
    kept = frozenset(cast("list[Retain]", retain or []))
    options = DeidOptions(kept, _box(box), frame_axis=frame_axis or None)
    if salt:
        options = replace(options, salt=salt.encode())
    rows: list[dict[str, Any]] = []
    failed = False
    for outcome in deidentify(source, target, options):
        if outcome.error is not None or outcome.target is None:
            failed = True
            print(f"m2dino: {outcome.error}", file=sys.stderr)
            continue
        rows.append({"path": str(outcome.target), "masked": outcome.masked, "warnings": list(outcome.warnings)})
        if not as_json:
            print(f"{outcome.target}: {'masked' if outcome.masked else 'pixels as they were'}")
        for warning in outcome.warnings:
            print(f"m2dino: warning: {outcome.target.name}: {warning}.", file=sys.stderr)
    if as_json:
        print(json.dumps(rows, indent=1))
    if failed:
        raise typer.Exit(1)


def _box(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    try:
        y_min, x_min, y_max, x_max = (int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--box {text}: write four whole numbers, Y_MIN,X_MIN,Y_MAX,X_MAX.") from None
    return y_min, x_min, y_max, x_max
