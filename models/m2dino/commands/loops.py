"""`m2dino info`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from m2dino.errors import M2DinoError, NoPixelDataError

if TYPE_CHECKING:
    from m2dino.cine import CineLoop


def register(app: typer.Typer) -> None:
    app.command("info")(info)


def info(
    paths: Annotated[list[Path], typer.Argument(help="Loops: files, or folders of files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what each loop is: frames, size, frame time, pixel size (or why there is none), identity."""
    rows: list[dict[str, Any]] = []
    failed = False
    for path in paths:
        for outcome in _describe(path):
            if isinstance(outcome, M2DinoError):
                failed = True
                print(f"m2dino: {outcome}", file=sys.stderr)
                continue
            rows.append(outcome)
            if not as_json:
                _print_row(outcome)
    if as_json:
        print(json.dumps(rows, indent=1))
    if failed:
        raise typer.Exit(1)


def _describe(path: Path) -> list[dict[str, Any] | M2DinoError]:
    """Return a row or an error for every loop of `path`, so that one bad file does not hide the others."""
    from m2dino.cine import loop_paths, open_loop

    try:
        found = loop_paths(path)
    except M2DinoError as error:
        return [error]
    outcomes: list[dict[str, Any] | M2DinoError] = []
    for each in found:
        try:
            loop = open_loop(each)
        except NoPixelDataError as error:
            # A folder of a scanner holds directories and reports beside its loops: they are not mistakes there.
            if len(found) == 1:
                outcomes.append(error)
        except M2DinoError as error:
            outcomes.append(error)
        else:
            outcomes.append(_row(loop))
            loop.close()
    return outcomes


def _row(loop: CineLoop) -> dict[str, Any]:
    calibration = loop.calibration
    return {
        "path": str(loop.path),
        "frames": len(loop),
        "height": loop.height,
        "width": loop.width,
        "frame_time_ms": None if loop.frame_time_s is None else round(loop.frame_time_s * 1000, 4),
        "calibration": None
        if calibration is None
        else {"dy_mm": calibration.dy_mm, "dx_mm": calibration.dx_mm, "source": calibration.source},
        "calibration_reason": loop.calibration_reason,
        "reader": loop.reader,
        "codec": loop.codec,
        "identity": loop.identity,
    }


def _print_row(row: dict[str, Any]) -> None:
    time = "frame time unknown" if row["frame_time_ms"] is None else f"{row['frame_time_ms']:g} ms"
    scale = row["calibration"]
    size = "no mm" if scale is None else f"{scale['dy_mm']:.4g} × {scale['dx_mm']:.4g} mm"
    print(f"{row['path']}: {row['frames']} × {row['height']} × {row['width']}, {time}, {row['codec']}, {size}")
    print(f"    scale: {row['calibration_reason']}; identity {row['identity']}")
