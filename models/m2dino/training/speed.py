"""How fast this computer fine-tunes, as measured by earlier fine-tunes and kept in the user's cache folder.

There is no figure for a computer that has not been measured: nothing here is guessed. Importing this needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from m2dino.network.card import ModelCard
from m2dino.tasks import Task
from m2dino.training.finetune_settings import PATHS, PROBE_SHARE, FinetuneSettings, Form

FILE = "finetune-speed.json"
KEPT = 64
"""Entries of the file; the oldest go."""


@dataclass(frozen=True)
class Speed:
    """Seconds that the parts of a fine-tune take.

    Attributes
    ----------
    start : float
        Once: loading the checkpoint, writing the new one.
    picture : float
        Preparing one picture, through the task-free half of the network.
    encode : float
        The encoder's words on one prepared picture.
    head_step, step : float
        A step of one picture that only head and decoder learn from, and one that all learns from.
    score : float
        Predicting and scoring one held-out picture.
    """

    start: float = 0.0
    picture: float = 0.0
    encode: float = 0.0
    head_step: float = 0.0
    step: float = 0.0
    score: float = 0.0

    def seconds(
        self, settings: FinetuneSettings, form: Form, known: bool, train: int, heldout: int, replayed: int = 0
    ) -> float:
        """Return what a fine-tune of so many frames takes.

        Parameters
        ----------
        settings : FinetuneSettings
        form : str
        known : bool
            Whether the base knows the task.
        train, heldout : int
            Frames.
        replayed : int
            Held-out pictures of other tasks that are measured.
        """
        steps = settings.steps_for(train, form, known)
        if form == "shared":
            scored = (1 + known) * heldout + 2 * replayed
            return self.start + self.score * scored + 2 * steps * settings.batch * self.step
        pictures = settings.pictures_for(train)
        scored = heldout * (settings.checks + (1 + len(PATHS) if known else 0)) + 2 * replayed
        step = PROBE_SHARE * self.head_step + (1 - PROBE_SHARE) * self.step
        prepared = pictures * (self.picture + self.encode)
        return self.start + prepared + steps * settings.batch * step + scored * self.score


class Stopwatch:
    """Measures the parts of a fine-tune."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._count: dict[str, int] = defaultdict(int)

    @contextmanager
    def timing(self, part: str, count: int) -> Iterator[None]:
        """Count what happens inside as so many of a part of `Speed`; parts may not lie in each other."""
        start = time.perf_counter()
        yield
        self.add(part, time.perf_counter() - start, count)

    def add(self, part: str, seconds: float, count: int) -> None:
        """Add so many of a part."""
        self._seconds[part] += seconds
        self._count[part] += count

    @property
    def seconds(self) -> float:
        """What was measured so far, in all."""
        return sum(self._seconds.values())

    def speed(self) -> Speed:
        """Return the mean of each part."""
        return Speed(**{part: seconds / max(1, self._count[part]) for part, seconds in self._seconds.items()})


def key_of(card: ModelCard, task: Task, form: Form, device: str) -> str:
    """Return what a speed is kept by: this computer, the device, the network's shape, the form and the type of task.

    Not by the checkpoint's weights: a network that was fine-tuned is as fast as the one it came from.
    """
    shape = json.dumps(asdict(card.architecture), sort_keys=True, default=str)
    computer = f"{platform.node()} {platform.machine()} {os.cpu_count()}"
    text = "\n".join((computer, device, shape, form, task.type))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def remembered(key: str, folder: Path | None = None) -> Speed | None:
    """Return the speed that was measured last; None where none was."""
    entry = _read(_file(folder)).get(key)
    try:
        return None if entry is None else Speed(**{name: float(value) for name, value in entry.items()})
    except (TypeError, ValueError, AttributeError):
        return None


def remember(key: str, speed: Speed, folder: Path | None = None) -> None:
    """Keep a speed for next time; where the cache cannot be written, none is kept."""
    file = _file(folder)
    entries = _read(file)
    entries.pop(key, None)
    entries[key] = asdict(speed)
    kept = dict(list(entries.items())[-KEPT:])
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{file.name}-", suffix=".tmp", dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(kept, stream)
        os.replace(name, file)
    except OSError:
        return


def _file(folder: Path | None) -> Path:
    if folder is None:
        told = os.environ.get("M2DINO_CACHE")
        folder = Path(told) if told else user_cache_path("m2dino", appauthor=False)
    return folder / FILE


def _read(file: Path) -> dict[str, Any]:
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}
