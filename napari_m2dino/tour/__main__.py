"""`python -m napari_m2dino.tour --out build/tour`: exit status 0 if every station was reached, else 1.

With `--states` it goes through the states of the dock instead of the work from opening to a fine-tuned model.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from napari_m2dino.tour.hand import Hand, TourError
from napari_m2dino.tour.report import NAME, Report, clear
from napari_m2dino.tour.states import States
from napari_m2dino.tour.stations import Tour
from napari_m2dino.tour.truth import in_checkout, read_truth


def main() -> int:
    """Run the tour; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m napari_m2dino.tour", description=__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/tour"),
        help="folder of the pictures and the report; new, empty, or an earlier tour's, which is replaced",
    )
    parser.add_argument("--truth", type=Path, help="folder of true masks 000.png …; that of the checkout by default")
    parser.add_argument("--checkpoint", type=Path, help="model in place of the bundled one")
    parser.add_argument("--theme", choices=["dark", "light", "both"], default="dark")
    parser.add_argument("--states", action="store_true", help="picture every state of the dock, in place of the round")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    try:
        clear(out)
    except OSError as error:
        parser.error(str(error))
    # The tour must not touch the user's own dataset, nor where they left off.
    os.environ["M2DINO_DATASET"] = str(out / "dataset")
    os.environ["M2DINO_STATE"] = str(out / "state")

    from napari_m2dino.launch import open_window

    report = Report()
    viewer, dock = open_window()
    themes = ["dark", "light"] if arguments.theme == "both" else [arguments.theme]
    viewer.theme = themes[0]
    hand = Hand(viewer, dock)
    if (window := dock.window()) is not None:
        window.resize(1480, 940)
    hand.pause(1.0)
    if arguments.checkpoint:
        dock.workshop.add_checkpoint(arguments.checkpoint)
    truth = read_truth(arguments.truth or in_checkout())
    stations = States(hand, truth).run() if arguments.states else Tour(hand, report, truth).run()
    began = time.perf_counter()
    try:
        for number, title in enumerate(stations, start=1):
            took = time.perf_counter() - began
            name = f"{number:02d}-{title.replace(',', '').replace(' ', '-')}"
            files = [name + (f"-{theme}" if len(themes) > 1 else "") + ".png" for theme in themes]
            for theme, file in zip(themes, files, strict=True):
                viewer.theme = theme
                hand.picture(out / file)
            viewer.theme = themes[0]
            report.stations.append((title, took, files[0]))
            print(f"{took:7.1f} s  {title}", flush=True)
            began = time.perf_counter()
    except TourError as error:
        report.failure = str(error)
        hand.picture(out / "failed.png")
    viewer.close()
    hand.pause(0.5)
    report.write(out)
    print((out / NAME).read_text(encoding="utf-8"))
    return 1 if report.failure else 0


if __name__ == "__main__":
    sys.exit(main())
