"""Fine-tuning in a child process that prints one JSON object a line. Never waited for on the GUI thread.

The child ends by itself when its standard input closes, so that it cannot outlive this program.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from m2dino.training.finetune_settings import Form
from qtpy.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

STOP_GRACE_MS = 1600
"""A cancelled training that has nothing to keep has ended within two seconds, by itself or not."""
SAVE_GRACE_MS = 15_000
"""One that has a state worth keeping is given the time to write it, on a slow or busy disk too."""


def report_folder(checkpoint: Path) -> Path:
    """Return where the report on a fine-tuned checkpoint lies: beside it."""
    return checkpoint.with_suffix(".report")


@dataclass(frozen=True)
class Job:
    """What to train: a task of a dataset folder, from a checkpoint, to a new one, alone or together with others.

    Those are replayed from corrections in the dataset folder and from folders of labelled data, `replay`.
    """

    dataset: Path
    task_id: str
    checkpoint: Path
    output: Path
    form: Form = "isolated"
    replay: tuple[Path, ...] = ()

    def arguments(self) -> list[str]:
        """Return the arguments of `python` that run it."""
        return [
            *("-m", "m2dino", "finetune", str(self.dataset)),
            *("--task", self.task_id, "--checkpoint", str(self.checkpoint)),
            *("--form", self.form, "-o", str(self.output), "--json-lines"),
            *("--report", str(report_folder(self.output))),
            *(word for folder in self.replay for word in ("--replay", str(folder))),
        ]


class TrainingProcess(QObject):
    """One fine-tuning at a time.

    Signals
    -------
    reported : dict, one of the child's lines: `started`, `progress`
    finished : dict, its `finished` line
    failed : sentence
    """

    reported = Signal(object)
    finished = Signal(object)
    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._process: QProcess | None = None
        self._buffer = b""
        self._last: dict[str, Any] | None = None
        self._has_state = False

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """Process id of the child; 0 when none runs."""
        return int(self._process.processId()) if self._process is not None else 0

    def start(self, job: Job) -> None:
        """Start the child; one that runs must have ended before."""
        if self._process is not None:
            raise RuntimeError("a training runs already")
        process = QProcess()
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        if not environment.contains("OMP_WAIT_POLICY"):
            # Threads that wait for one another sleep, instead of taking the cores that the window needs.
            environment.insert("OMP_WAIT_POLICY", "PASSIVE")
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._ended)
        process.errorOccurred.connect(self._not_started)
        self._process, self._buffer, self._last, self._has_state = process, b"", None, False
        process.start(sys.executable, job.arguments())

    def stop(self) -> None:
        """Ask the child to end and to keep its best state; it is killed if it has not ended after some seconds."""
        process = self._process
        if process is None:
            return
        process.write(b"stop\n")
        process.closeWriteChannel()
        grace = SAVE_GRACE_MS if self._has_state else STOP_GRACE_MS
        QTimer.singleShot(grace, lambda: process.kill() if self._process is process else None)

    def abandon(self) -> None:
        """End the child now, for the window closes; what it had not finished is dropped."""
        process, self._process = self._process, None
        if process is None:
            return
        for signal in (process.readyReadStandardOutput, process.finished, process.errorOccurred):
            signal.disconnect()
        process.closeWriteChannel()
        process.kill()
        process.waitForFinished(2000)

    def _read(self) -> None:
        if self._process is None:
            return
        self._buffer += bytes(self._process.readAllStandardOutput().data())
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # a library's own print is not a message
            if not isinstance(message, dict) or "event" not in message:
                continue
            if message["event"] in ("finished", "failed"):
                self._last = message
                # All is written, and nobody need wait for the interpreter to clear away its memory: that takes seconds.
                self._process.kill()
            else:
                self._has_state |= bool(message.get("metric"))
                self.reported.emit(message)

    def _not_started(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart and self._process is not None:
            self._process = None
            self.failed.emit("The training could not be started: the Python of this program was not found.")

    def _ended(self, code: int, _status: QProcess.ExitStatus) -> None:
        process = self._process
        if process is None:
            return
        self._read()
        trouble = bytes(process.readAllStandardError().data()).decode(errors="replace")
        self._process = None
        process.deleteLater()
        last = self._last or {}
        if last.get("event") == "finished":
            self.finished.emit(last)
        elif last.get("event") == "failed":
            self.failed.emit(str(last.get("message", "the training failed")))
        else:
            self.failed.emit(_why(code, trouble))


def _why(code: int, trouble: str) -> str:
    """Return a sentence for a child that ended without a word of its own."""
    if "MemoryError" in trouble or code in (137, 9):
        return "The training ran out of memory or was killed: close other programs and try again."
    lines = [line for line in trouble.splitlines() if line.startswith("m2dino: ")]
    if lines:
        return lines[-1].removeprefix("m2dino: ")
    return f"The training ended without a result (exit status {code}): the model in use is unchanged."
