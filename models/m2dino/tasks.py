"""The registry of tasks: the 27 of FM_UIA 2026 as data (tasks.toml), and those that users add.

A user's own tasks come from TOML files of the same form: `tasks.toml` in the user's configuration folder
(`user_task_file()`), the files named by the environment variable M2DINO_TASKS (separated like PATH), and any file
given explicitly. A later file may replace a task of an earlier one, except for its type and number of classes.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast, get_args

from m2dino.errors import TaskError, UnknownTaskError
from m2dino.values import TaskType

Certainty = Literal["official", "observed", "inferred", "unknown", "user"]
Outline = Literal["free", "ellipse"]
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_PAIR_KEYS = ("mirror_pairs", "left_to_right", "top_to_bottom")
_TASK_KEYS = {
    "id", "type", "title", "organ", "group", "labels", "horizontal_flip", "outline", "axes_of", "source", *_PAIR_KEYS
}  # fmt: skip
_LABEL_KEYS = {"name", "meaning", "certainty"}


@dataclass(frozen=True)
class Label:
    """A class (segmentation, classification, detection) or a named point (regression).

    Attributes
    ----------
    name : str
        Short name, as shown in a list.
    meaning : str
        What it denotes; empty where the name says it all.
    certainty : str
        How sure the meaning is: `official` (stated by the organisers), `observed` (seen in the data), `inferred`
        (our reading: never show it as a clinical finding), `unknown`, or `user` (the user's own word).
    """

    name: str
    meaning: str = ""
    certainty: Certainty = "user"


@dataclass(frozen=True)
class Task:
    """One thing the model can be asked for.

    Attributes
    ----------
    id : str
        Identifier as in the CSV column `task_id`.
    type : str
        segmentation, classification, detection or regression.
    labels : tuple of Label
        In index order; `len(labels) == num_classes`. For segmentation index 0 is the background; for regression
        they are the points.
    title : str
        Name for people.
    organ, group : str
        What is imaged, and the clinical group that clinically-grouped training pools.
    horizontal_flip : bool
        Whether mirroring an image leaves its label true. False wherever left and right are part of the label.
    mirror_pairs : tuple of (str, str)
        Points that trade names in a mirrored image, where sides of the picture are meant. They may be mirrored then.
    left_to_right, top_to_bottom : tuple of (str, str)
        Points that are named by their place in the picture alone: of each pair the first is the one further left, or
        further up. In a mirrored or turned image they get their names anew.
    outline : str
        "ellipse" where the one thing of a segmentation task is drawn as an ellipse by convention: a predicted mask is
        then read as the ellipse that fits its outline, if one does.
    axes_of : str
        The task that outlines an ellipse, where the first two points are the ends of one of its axes and the last two
        those of the other: both findings are then read together. Empty for all others.
    source : str
        Where the task and its label names come from.
    """

    id: str
    type: TaskType
    labels: tuple[Label, ...]
    title: str
    organ: str = "unspecified"
    group: str = "Own"
    horizontal_flip: bool = True
    mirror_pairs: tuple[tuple[str, str], ...] = ()
    left_to_right: tuple[tuple[str, str], ...] = ()
    top_to_bottom: tuple[tuple[str, str], ...] = ()
    outline: Outline = "free"
    axes_of: str = ""
    source: str = "user"

    @property
    def num_classes(self) -> int:
        """Number of classes incl. background (segmentation), of classes, of box kinds, or of points."""
        return len(self.labels)

    @property
    def mirrored_order(self) -> tuple[int, ...]:
        """Index of the label that each one's place holds in a mirrored image."""
        names = self.label_names
        partner = {a: b for pair in (*self.mirror_pairs, *self.left_to_right) for a, b in (pair, pair[::-1])}
        return tuple(names.index(partner.get(name, name)) for name in names)

    @property
    def may_turn(self) -> bool:
        """Whether every point is named by its place in the picture, so that a turned image only needs new names."""
        placed = {name for pair in (*self.left_to_right, *self.top_to_bottom) for name in pair}
        return self.type == "regression" and placed == set(self.label_names)

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    def agrees_with(self, other: Task) -> bool:
        """Whether labels by the one definition are labels by the other: same type, same number of classes."""
        return (self.type, self.num_classes) == (other.type, other.num_classes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON and for `Task.from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "task") -> Task:
        """Build a task from plain data, checking every field.

        Raises
        ------
        TaskError
            A field is missing, unknown or of the wrong kind; the message starts with `where`.
        """
        unknown = set(data) - _TASK_KEYS
        if unknown:
            raise TaskError(f"{where}: unknown key {sorted(unknown)[0]!r}; known are {', '.join(sorted(_TASK_KEYS))}.")
        task_id, kind = data.get("id"), data.get("type")
        if not isinstance(task_id, str) or not _ID.fullmatch(task_id):
            raise TaskError(f"{where}: id {task_id!r} must start with a letter and hold only letters, digits, _ and -.")
        if not isinstance(kind, str) or kind not in get_args(TaskType):
            raise TaskError(f"{where}: task {task_id}: type {kind!r} is not one of {', '.join(get_args(TaskType))}.")
        texts = {
            k: data.get(k, d)
            for k, d in (("title", task_id), ("organ", "unspecified"), ("group", "Own"), ("source", "user"))
        }
        for key, text in texts.items():
            if not isinstance(text, str):
                raise TaskError(f"{where}: task {task_id}: {key} must be text, not {text!r}.")
        flip = data.get("horizontal_flip", True)
        if not isinstance(flip, bool):
            raise TaskError(f"{where}: task {task_id}: horizontal_flip must be true or false.")
        labels = tuple(_label(entry, f"{where}: task {task_id}") for entry in data.get("labels", ()))
        names = {label.name for label in labels}
        pairs = {key: _pairs(key, data.get(key, ()), kind, names, f"{where}: task {task_id}") for key in _PAIR_KEYS}
        _named_once(pairs, f"{where}: task {task_id}")
        least = {"segmentation": 2, "classification": 2, "detection": 1, "regression": 1}[kind]
        if len(labels) < least:
            raise TaskError(
                f"{where}: task {task_id}: a {kind} task needs at least {least} labels, found {len(labels)}."
            )
        if len({label.name for label in labels}) != len(labels):
            raise TaskError(f"{where}: task {task_id}: two labels have the same name.")
        outline = data.get("outline", "free")
        if outline not in get_args(Outline):
            raise TaskError(f"{where}: task {task_id}: outline {outline!r} is not one of free, ellipse.")
        if outline != "free" and (kind != "segmentation" or len(labels) != 2):
            raise TaskError(f"{where}: task {task_id}: an ellipse is an outline of a segmentation task of two labels.")
        axes_of = data.get("axes_of", "")
        if not isinstance(axes_of, str) or (axes_of and (kind != "regression" or len(labels) != 4)):
            raise TaskError(
                f"{where}: task {task_id}: axes_of is the id of a task, and only for a regression task of four points: "
                "both ends of one axis, then of the other."
            )
        return cls(
            id=task_id,
            type=cast("TaskType", kind),
            labels=labels,
            horizontal_flip=flip,
            mirror_pairs=pairs["mirror_pairs"],
            left_to_right=pairs["left_to_right"],
            top_to_bottom=pairs["top_to_bottom"],
            outline=cast("Outline", outline),
            axes_of=axes_of,
            **texts,
        )


def _pairs(key: str, entry: object, kind: str, names: set[str], where: str) -> tuple[tuple[str, str], ...]:
    given = list(entry) if isinstance(entry, list | tuple) else [entry]
    pairs = [(pair[0], pair[1]) for pair in given if isinstance(pair, list | tuple) and len(pair) == 2]
    told = [name for pair in pairs for name in pair]
    known = all(isinstance(name, str) and name in names for name in told) and len(set(told)) == len(told)
    if len(pairs) < len(given) or not known or (pairs and kind != "regression"):
        raise TaskError(f"{where}: {key} must be pairs of the task's points, each named once; found {entry!r}.")
    return tuple(pairs)


def _named_once(pairs: Mapping[str, tuple[tuple[str, str], ...]], where: str) -> None:
    told = [name for own in pairs.values() for pair in own for name in pair]
    twice = next((name for name in told if told.count(name) > 1), None)
    if twice is not None:
        raise TaskError(f"{where}: the point {twice!r} stands in two of {', '.join(_PAIR_KEYS)}; leave it in one.")


def _label(entry: object, where: str) -> Label:
    if isinstance(entry, str):
        return Label(entry)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or set(entry) - _LABEL_KEYS:
        raise TaskError(f"{where}: a label is a name, or a table with name, meaning and certainty; found {entry!r}.")
    certainty, meaning = entry.get("certainty", "user"), entry.get("meaning", "")
    if certainty not in get_args(Certainty) or not isinstance(meaning, str):
        raise TaskError(f"{where}: label {entry['name']}: certainty must be one of {', '.join(get_args(Certainty))}.")
    return Label(entry["name"], meaning, certainty)


class TaskRegistry:
    """Tasks by id, in a fixed order. Immutable: `extended` returns a new one."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = {task.id: task for task in tasks}

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._tasks

    def __getitem__(self, task_id: str) -> Task:
        try:
            return self._tasks[task_id]
        except KeyError:
            close = [known for known in self._tasks if task_id.lower() in known.lower()]
            hint = (
                f" Did you mean {', '.join(close[:3])}?" if task_id and close else " `m2dino tasks` lists those known."
            )
            raise UnknownTaskError(f"No task has the id {task_id!r}.{hint}") from None

    def extended(self, tasks: Iterable[Task], where: str = "task") -> TaskRegistry:
        """Return a registry with `tasks` added.

        Raises
        ------
        TaskError
            A task of the same id but another type or number of classes is already known.
        """
        merged = dict(self._tasks)
        for task in tasks:
            known = merged.get(task.id)
            if known and not known.agrees_with(task):
                raise TaskError(
                    f"{where}: task {task.id} is already known as {known.type} with {known.num_classes} labels, "
                    f"not {task.type} with {task.num_classes}; give yours another id."
                )
            merged[task.id] = task
        return TaskRegistry(merged.values())


def read_task_file(path: Path) -> list[Task]:
    """Read the tasks of a TOML file: an array of tables named `task`.

    Raises
    ------
    TaskError
        The file cannot be read, is not TOML, or describes a task wrongly.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: the task file cannot be read ({error}).") from error
    return _parse(text, str(path))


def _parse(text: str, where: str) -> list[Task]:
    try:
        entries = tomllib.loads(text).get("task", [])
    except tomllib.TOMLDecodeError as error:
        raise TaskError(f"{where}: not valid TOML: {error}.") from error
    if not isinstance(entries, list) or not entries:
        raise TaskError(f"{where}: no [[task]] table in it.")
    return [Task.from_dict(entry, where) for entry in entries]


def builtin_tasks() -> TaskRegistry:
    """Return the 27 tasks of FM_UIA 2026."""
    return TaskRegistry(_parse(files("m2dino").joinpath("tasks.toml").read_text(encoding="utf-8"), "tasks.toml"))


def user_task_file() -> Path:
    """Return where a user's own tasks are looked for; the file need not exist."""
    from platformdirs import user_config_path

    return user_config_path("m2dino") / "tasks.toml"


def load_tasks(extra: Iterable[Path] = ()) -> TaskRegistry:
    """Return the built-in tasks, the user's own, and those of the `extra` files.

    Raises
    ------
    TaskError
        One of the files is wrong; the message names it.
    """
    registry = builtin_tasks()
    own = [user_task_file()] if user_task_file().is_file() else []
    named = [Path(part) for part in os.environ.get("M2DINO_TASKS", "").split(os.pathsep) if part]
    for path in [*own, *named, *extra]:
        registry = registry.extended(read_task_file(path), str(path))
    return registry
