"""The model card of a checkpoint: what it was trained on, how well it does, and what it must not be used for.

Reading a card reads the header of the file only, without torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from m2dino.errors import NotACheckpointError, TaskError, UsageError
from m2dino.network.config import Architecture
from m2dino.network.fits import misfit
from m2dino.tasks import Task

FORMAT = "m2dino-checkpoint"
FORMAT_VERSION = 1
NOTICE = "For research and for trying the software; not for diagnosis or any other clinical use."

# The metric that stands for a task in one line, and those of which less is better.
HEADLINE = {"segmentation": "DSC", "classification": "Accuracy", "detection": "IoU", "regression": "MRE"}
LOWER_IS_BETTER = frozenset({"MRE"})
_PICKLES = (b"PK\x03\x04", b"\x80")
"""How files of `torch.save` and `pickle` begin; in a safetensors file a brace follows the eight bytes of a length."""
_SHOWN = {"DSC": "Dice", "Accuracy": "accuracy", "IoU": "IoU", "MRE": "radial error"}


@dataclass(frozen=True)
class MetricValue:
    """A figure with its 95 % bootstrap interval by subject, over `n` images; `low` and `high` are None if too few."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0


@dataclass(frozen=True)
class TaskReport:
    """What a checkpoint knows of one task.

    Attributes
    ----------
    task : Task
        Its definition, so that a checkpoint brings the user's own tasks with it.
    n_train, n_val : int
        Images trained on, and images held out that the metrics are of. Frames of a dataset folder that a fine-tune
        learns again count once.
    metrics : dict of str to MetricValue
        Official names: DSC, HD, Accuracy, F1_macro, F1_weighted, MCC, AUC, IoU, MRE (px of the original image).
    temperature : float
        What the logits of its classes or pixels are divided by (see `m2dino.temperature`).
    """

    task: Task
    n_train: int
    n_val: int = 0
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    temperature: float = 1.0

    def headline(self) -> str:
        """Return one figure for people, such as "Dice 0.91 (0.89-0.93)"."""
        name = HEADLINE[self.task.type]
        metric = self.metrics.get(name)
        if metric is None:
            return "no held-out figure"
        digits, unit = (1, " px") if name == "MRE" else (2, "")
        text = f"{_SHOWN[name]} {metric.value:.{digits}f}{unit}"
        if metric.low is not None and metric.high is not None:
            text += f" ({metric.low:.{digits}f}-{metric.high:.{digits}f})"
        return text


@dataclass(frozen=True)
class ModelCard:
    """All that is known of a checkpoint; travels in its metadata.

    Attributes
    ----------
    id : str
        Title and content signature of the weights; set when the checkpoint is written.
    title : str
    created : str
        Month of writing (YYYY-MM): enough to tell models apart, too little to date an examination.
    architecture : Architecture
    tasks : dict of str to TaskReport
    parent_id : str
        Id of the checkpoint that it was fine-tuned from; empty if trained from scratch.
    fingerprint : str
        Signature of the training records.
    licence, data : str, tuple of str
        Licence of the weights, and the data sets with their licences and citations.
    limits : str
        What it is known to do badly.
    training : dict
        Settings of the run, for repeating it.
    """

    title: str
    architecture: Architecture
    tasks: dict[str, TaskReport]
    id: str = ""
    created: str = ""
    parent_id: str = ""
    fingerprint: str = ""
    licence: str = ""
    data: tuple[str, ...] = ()
    limits: str = ""
    notice: str = NOTICE
    training: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Parse a card.

        Raises
        ------
        NotACheckpointError
            The text is not a card.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            for name in ("title", "licence", "limits"):
                if not isinstance(data.get(name, ""), str):
                    raise TypeError(f"its {name} is no text")
            data["architecture"] = Architecture.from_dict(data["architecture"])
            data["tasks"] = {key: _report(value) for key, value in data["tasks"].items()}
            data["data"] = tuple(data.get("data", ()))
            return cls(**data)
        except (ValueError, TypeError, KeyError, AttributeError, TaskError) as error:
            raise NotACheckpointError(f"its model card is not understood ({error})") from error


def _report(data: Mapping[str, Any]) -> TaskReport:
    # Earlier versions wrote figures that are not known as null.
    known = {name: value for name, value in data["metrics"].items() if value["value"] is not None}
    metrics = {name: MetricValue(**value) for name, value in known.items()}
    temperature = float(data.get("temperature", 1.0))
    if not 0 < temperature < math.inf:
        raise ValueError(f"a temperature of {temperature}")
    return TaskReport(Task.from_dict(data["task"]), int(data["n_train"]), int(data["n_val"]), metrics, temperature)


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file, and none of its tensors.

    Raises
    ------
    NotACheckpointError
        The file is of another kind, or cut short.
    """
    return _header(path)[0]


def _header(path: Path) -> tuple[dict[str, str], dict[str, tuple[int, ...]]]:
    """Return the metadata of a safetensors file and the shape of each tensor."""
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as plain:
            start = plain.read(9)
            if start.startswith(_PICKLES) and not start.endswith(b"{"):
                raise NotACheckpointError(
                    f"{path}: a pickle, as PyTorch writes them. Such a file can run programs of its own and is never "
                    "opened; a checkpoint of M2DINO is a .safetensors file."
                )
        with safe_open(str(path), framework="numpy") as file:
            names = file.keys()
            return file.metadata() or {}, {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise NotACheckpointError(f"{path}: not a checkpoint, or cut short; copy it again ({error}).") from error


def read_card(path: Path) -> ModelCard:
    """Read the model card of a checkpoint file.

    Raises
    ------
    NotACheckpointError
        The file does not exist, is cut short, is not a checkpoint of M2DINO, or its weights are of another
        architecture than its card names.
    """
    if path.is_dir():
        raise NotACheckpointError(f"{path}: a folder, not a checkpoint; choose a .safetensors file in it.")
    if not path.is_file():
        raise NotACheckpointError(f"{path}: there is no such checkpoint file.")
    metadata, shapes = _header(path)
    if metadata.get("format") != FORMAT:
        raise NotACheckpointError(
            f"{path}: a safetensors file, but not a checkpoint of M2DINO; open one that this program made."
        )
    version = metadata.get("version", "")
    if not version.isdecimal():
        raise NotACheckpointError(f"{path}: a checkpoint without a version; copy it again.")
    if int(version) > FORMAT_VERSION:
        raise NotACheckpointError(f"{path}: written by a newer version of M2DINO; update this program to use it.")
    try:
        card = ModelCard.from_json(metadata.get("card", ""))
    except NotACheckpointError as error:
        raise NotACheckpointError(f"{path}: {error}.") from error
    if wrong := misfit(shapes, card.architecture, len(card.tasks)):
        raise NotACheckpointError(
            f"{path}: its weights are not of the architecture that its card names ({wrong}); get the file again from "
            "where it was made."
        )
    return card


def bundled_checkpoint(name: str = "tiny") -> Path:
    """Return the checkpoint that comes with the package for a preset.

    Raises
    ------
    UsageError
        None is bundled for that preset.
    """
    here = Path(__file__).resolve().parents[1]
    # In a wheel the folder lies in the package; in a checkout beside it.
    for folder in (here / "checkpoints", here.parent / "checkpoints"):
        path = folder / f"m2dino-{name}.safetensors"
        if path.is_file():
            return path
    raise UsageError(f"No checkpoint is bundled for {name!r}; give the path of one, or train it with `m2dino train`.")
