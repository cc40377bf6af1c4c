"""`m2dino info`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from m2dino.errors import AmbiguousLoopError, M2DinoError, NoPixelDataError

if TYPE_CHECKING:
    from m2dino.cine import CineLoop


_KEYS = (
    "path",
    "frames",
    "height",
    "width",
    "frame_time_ms",
    "calibration",
    "calibration_reason",
    "reader",
    "codec",
    "identity",
    "frame_time_source",
    "markers",
    "tissue_region",
    "frame_axes",
)


def register(app: typer.Typer) -> None:
    app.command("info")(info)


def info(
    paths: Annotated[list[Path], typer.Argument(help="Loops: files, or folders of files.")],
    frame_axis: Annotated[
        str, typer.Option(help="The axis of volumes (x, y, z, t) and NumPy arrays (0, 1, 2) that counts the frames.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what each loop is: frames, size, frame time, pixel size (or why there is none), identity.

    A volume or an array that does not say which of its axes counts the frames gets a row with its choices instead.
    """
    rows: list[dict[str, Any]] = []
    failed = False
    for path in paths:
        for outcome in _describe(path, frame_axis or None):
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


def _describe(path: Path, frame_axis: str | None) -> list[dict[str, Any] | M2DinoError]:
    """Return a row or an error for every loop of `path`, so that one bad file does not hide the others."""
    from m2dino.cine import loop_paths, open_found

    try:
        found = loop_paths(path)
    except M2DinoError as error:
        return [error]
    outcomes: list[dict[str, Any] | M2DinoError] = []
    for each in found:
        try:
            loop = open_found(each, frame_axis)
        except NoPixelDataError as error:
            # A folder of a scanner holds directories and reports beside its loops: they are not mistakes there.
            if len(found) == 1:
                outcomes.append(error)
        except AmbiguousLoopError as error:
            outcomes.append(_row_of_choices(each, error))
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
        "frame_time_source": loop.frame_time_source,
        "markers": [{"frame": marker.frame, "name": marker.name} for marker in loop.markers],
        "tissue_region": loop.tissue_region,
        "frame_axes": None,
    }


def _row_of_choices(path: Path, error: AmbiguousLoopError) -> dict[str, Any]:
    """Return the row of a file that does not say what its frames are: all unknown, but what may be chosen."""
    unknown = dict.fromkeys(_KEYS)
    axes = {name: dict(zip(("frames", "height", "width"), shape, strict=True)) for name, shape in error.choices.items()}
    return {**unknown, "path": str(path), "calibration_reason": "the frame axis is not chosen", "frame_axes": axes}


def _print_row(row: dict[str, Any]) -> None:
    if row["frame_axes"]:
        told = "; ".join(
            f"{name}: {shape['frames']} × {shape['height']} × {shape['width']}"
            for name, shape in row["frame_axes"].items()
        )
        print(f"{row['path']}: which axis counts the frames? --frame-axis {told}")
        return
    time = "frame time unknown" if row["frame_time_ms"] is None else f"{row['frame_time_ms']:g} ms"
    if row["frame_time_source"]:
        time = f"{time} ({row['frame_time_source']})" if row["frame_time_ms"] is not None else "uneven frame times"
    scale = row["calibration"]
    size = "no mm" if scale is None else f"{scale['dy_mm']:.4g} × {scale['dx_mm']:.4g} mm"
    print(f"{row['path']}: {row['frames']} × {row['height']} × {row['width']}, {time}, {row['codec']}, {size}")
    print(f"    scale: {row['calibration_reason']}; identity {row['identity']}")
