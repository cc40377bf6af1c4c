"""`python -m napari_m2dino.tour --out build/tour`: exit status 0 if every station was reached, else 1."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from napari_m2dino.tour.hand import Hand, TourError
from napari_m2dino.tour.report import Report
from napari_m2dino.tour.stations import Tour
from napari_m2dino.tour.truth import in_checkout, read_truth


def main() -> int:
    """Run the tour; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m napari_m2dino.tour", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/tour"), help="folder of the pictures and the report")
    parser.add_argument("--truth", type=Path, help="folder of true masks 000.png …; that of the checkout by default")
    parser.add_argument("--checkpoint", type=Path, help="model in place of the bundled one")
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    # The tour must not touch the user's own dataset.
    os.environ["M2DINO_DATASET"] = str(out / "dataset")

    from napari_m2dino.launch import open_window

    report = Report()
    viewer, dock = open_window()
    viewer.theme = arguments.theme
    hand = Hand(viewer, dock)
    if (window := dock.window()) is not None:
        window.resize(1480, 940)
    hand.pause(1.0)
    if arguments.checkpoint:
        dock.workshop.add_checkpoint(arguments.checkpoint)
    began = time.perf_counter()
    try:
        for number, title in enumerate(Tour(hand, report, read_truth(arguments.truth or in_checkout())).run(), start=1):
            took = time.perf_counter() - began
            name = f"{number:02d}-{title.replace(',', '').replace(' ', '-')}.png"
            hand.picture(out / name)
            report.stations.append((title, took, name))
            print(f"{took:7.1f} s  {title}", flush=True)
            began = time.perf_counter()
    except TourError as error:
        report.failure = str(error)
        hand.picture(out / "failed.png")
    viewer.close()
    hand.pause(0.5)
    report.write(out)
    print((out / "report.md").read_text(encoding="utf-8"))
    return 1 if report.failure else 0


if __name__ == "__main__":
    sys.exit(main())
