"""The results of runs: one JSON file each, whole or absent, and never a name of a file or a person in it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from m2dino.data.durable import write_whole
from m2dino.errors import StudyError
from m2dino.study.plan import Run

FORMAT, VERSION = "m2dino-study-run", 1


@dataclass(frozen=True)
class Figure:
    """How one task does.

    Attributes
    ----------
    metric : str
        DSC, Accuracy, IoU or MRE (px of the original image).
    images : tuple of float
        Its value for each held-out image; NaN where it has none.
    subjects : tuple of int
        Number of the subject of each image; the same number is the same subject in every run of a study.
    """

    metric: str
    images: tuple[float, ...]
    subjects: tuple[int, ...]

    @property
    def value(self) -> float:
        """The mean over images."""
        known = [value for value in self.images if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Result:
    """What became of a run.

    Attributes
    ----------
    id : str
    failed : str
        The kind of failure where there are no figures, without a name of a file; empty if all went well.
    error : str
        The failure in full, for the person who runs the study: it may name files and is never written.
    figures : dict of str to Figure
        By task.
    gates : dict of str to list
        For each task the mean gate of every expert in every mixture, (blocks, experts); empty without a gate.
    rows, subjects, label_updates : dict of str to int
        By task: what was trained on, and how many labels were learnt from, with repetitions.
    steps, parameters : int
    train_seconds, score_seconds : float
    run : dict
        What was asked for; see `plan.Run`.
    """

    id: str
    failed: str = ""
    error: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)
    gates: dict[str, list[list[float]]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, int] = field(default_factory=dict)
    label_updates: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    parameters: int = 0
    train_seconds: float = 0.0
    score_seconds: float = 0.0
    run: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        data = {"format": FORMAT, "version": VERSION, **asdict(self)}
        del data["error"]
        for name, figure in self.figures.items():
            told = [None if math.isnan(value) else round(value, 6) for value in figure.images]
            data["figures"][name] = {**asdict(figure), "images": told}
        return json.dumps(data, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Parse a result.

        Raises
        ------
        ValueError
            It is of another kind, or cut short.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if data.pop("format") != FORMAT or data.pop("version") != VERSION:
                raise ValueError("of another kind or version")
            return cls(**{**data, "figures": {name: _figure(own) for name, own in data["figures"].items()}})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(str(error)) from error


def _figure(data: Mapping[str, Any]) -> Figure:
    images = tuple(math.nan if value is None else float(value) for value in data["images"])
    return Figure(str(data["metric"]), images, tuple(data["subjects"]))


class Results:
    """The folder `runs` of a study."""

    def __init__(self, out: Path) -> None:
        self.folder = out / "runs"

    def path(self, run: Run) -> Path:
        return self.folder / f"{run.id}.json"

    def scratch(self, run: Run) -> Path:
        """Return where the network of a run lies while it is made."""
        return self.folder / "unfinished" / run.id

    def load(self, runs: Iterable[Run]) -> dict[str, Result]:
        """Return the results that are there, by run; a damaged file counts as not there, and its run is made again."""
        found = {}
        for run in runs:
            try:
                result = Result.from_json(self.path(run).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if result.id == run.id:
                found[run.id] = result
        return found

    def save(self, run: Run, result: Result) -> None:
        """Write the result of a run.

        Raises
        ------
        StudyError
            The folder cannot be written.
        """
        write(self.path(run), result.to_json())


def write(path: Path, text: str) -> None:
    """Write a file of a study, whole or not at all.

    Raises
    ------
    StudyError
        The folder cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise StudyError(
            f"{path}: it cannot be written ({os.strerror(error.errno or 0)}); free some space or name another folder."
        ) from error
