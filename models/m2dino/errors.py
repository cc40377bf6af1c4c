"""Every error that a user can cause, each typed.

A message is one or two plain sentences: what is wrong, with which file, and what to do. It must be fit to show to a
person as it stands, so it never holds a traceback, and never a value read from a DICOM header that could identify a
patient. Programming mistakes raise the ordinary built-in exceptions instead.
"""

from __future__ import annotations


class M2DinoError(Exception):
    """Base of all errors that a user can cause and mend."""


class UsageError(M2DinoError):
    """An argument does not make sense, such as a frame range outside the loop."""


class AmbiguousLoopError(UsageError):
    """Nothing in the file says which of its axes counts the frames: the caller has to choose one.

    Attributes
    ----------
    choices : dict of str to (int, int, int)
        What `frame_axis` may be, each with the (frames, height, width) that it would give.
    """

    def __init__(self, message: str, choices: dict[str, tuple[int, int, int]]) -> None:
        super().__init__(message)
        self.choices = choices


class LoopError(M2DinoError):
    """A cine loop cannot be opened or read."""


class UnsupportedLoopError(LoopError):
    """No reader knows this kind of file, or it is not an image at all."""


class NoPixelDataError(LoopError):
    """A DICOM file without pixel data (a report, a directory, a presentation state)."""


class UnsupportedTransferSyntaxError(LoopError):
    """A DICOM compression that no installed codec decodes; the message names it and what to install."""


class TruncatedLoopError(LoopError):
    """The file holds less than its header claims."""


class FrameDecodeError(LoopError):
    """One frame of an otherwise readable loop cannot be decoded; the other frames stay usable."""


class TaskError(M2DinoError):
    """A task file is wrong."""


class UnknownTaskError(TaskError):
    """No task of that id is known."""


class UntrainedTaskError(TaskError):
    """The checkpoint was never trained on this task: its output would be noise, so none is given."""


class DatasetError(M2DinoError):
    """A labelled data set (FM_UIA layout) is not usable; the message names the CSV file and the row."""


class PathEscapesRootError(DatasetError):
    """A path in a CSV leaves the data root."""


class MissingFileError(DatasetError):
    """A file that a CSV names does not exist."""


class StoreError(M2DinoError):
    """The dataset folder of corrections cannot be used."""


class TaskConflictError(StoreError):
    """The store knows a task by another definition: labels by this one cannot be kept in it."""


class MissingPicturesError(StoreError):
    """Pictures of labelled frames have gone from the store; their loops have them.

    Attributes
    ----------
    frames : dict of str to list of int
        The frames, by identity of their loop.
    """

    def __init__(self, message: str, frames: dict[str, list[int]]) -> None:
        super().__init__(message)
        self.frames = frames


class StoreWriteError(StoreError):
    """The disk is full or read-only; nothing was half-written and the record is still unsaved."""


class StoreSchemaError(StoreError):
    """The store was written by a newer version of the program, or its database is damaged."""


class CheckpointError(M2DinoError):
    """A checkpoint file cannot be used."""


class NotACheckpointError(CheckpointError):
    """The file is not a checkpoint of M2DINO, or it is cut short."""


class CheckpointWriteError(CheckpointError):
    """A checkpoint could not be written; a file already there is untouched."""


class TrainingError(M2DinoError):
    """Training cannot start or go on."""


class TooLittleDataError(TrainingError):
    """There are too few labelled frames to train and to validate."""


class OneClassError(TooLittleDataError):
    """All labels are of one class: there is nothing to tell it from."""


class NothingToReplayError(TrainingError):
    """A fine-tune would change other tasks, and there is no data of them to keep them by."""


class OtherTaskError(TrainingError):
    """A checkpoint knows the task with another type or number of classes."""


class LineageError(M2DinoError):
    """A model cannot be taken into use, kept aside, gone back to, started from or written over."""


class HarmError(LineageError):
    """The guard speaks against a model: it is taken into use only by a person who says that it shall be all the same.

    Attributes
    ----------
    said : list of str
        What it holds against the model, a sentence each.
    """

    def __init__(self, message: str, said: list[str]) -> None:
        super().__init__(message)
        self.said = said


class DeviceError(M2DinoError):
    """The asked-for device is not there."""


class MemoryFullError(M2DinoError):
    """The memory, of the device or of the computer, does not even hold one frame at a time."""


class ExportError(M2DinoError):
    """Annotations cannot be written in the form that was asked for."""


class MissingExtraError(M2DinoError):
    """An optional package is needed; the message says what to install."""


class StudyError(M2DinoError):
    """A study cannot go on: its folder, its plan or its workers are not usable."""
