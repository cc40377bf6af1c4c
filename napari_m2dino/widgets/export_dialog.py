"""What to export, in which form and whereto; and which labels of other programs to import."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from m2dino.tasks import Task
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_m2dino.exporting import Scope, Wish
from napari_m2dino.widgets.style import dialog_button

if TYPE_CHECKING:
    from m2dino.export import Format

KINDS: dict[Format, tuple[str, str]] = {
    "coco": ("COCO", "One JSON file a task, and the pictures: boxes, masks as run lengths, keypoints."),
    "fmuia": ("FM_UIA data set", "The layout of the FM_UIA 2026 challenge: CSV files, pictures and masks."),
    "png": ("PNG masks", "One picture of class indices a frame."),
    "nifti": ("NIfTI masks", "One volume a loop, with its scale and frame time where they are known."),
    "csv": ("CSV", "Areas, boxes, points or classes; lengths where points make them."),
    "dicom-seg": ("DICOM segmentation", "One DICOM SEG object a loop, which refers to the loop’s own file."),
    "dicom-sr": ("DICOM report", "One structured report (TID 1500) a loop, which refers to the loop’s own file."),
}
_NEEDS_EXTRA = (
    "This needs the package highdicom, which is not installed: close napari, run "
    'pip install "napari-m2dino[dicom-export]", and start it again.'
)


class ExportDialog(QDialog):
    """Asks for format and scope."""

    def __init__(self, task: Task, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from m2dino.export.run import holds

        self.setWindowTitle("Export labels")
        self.kind = QComboBox()
        for kind, (title, _) in KINDS.items():
            if holds(kind, task):
                self.kind.addItem(title, kind)
        self.scope = QComboBox()
        for scope in Scope:
            self.scope.addItem(scope.value.capitalize(), scope)
        self.proposals = QCheckBox("Also what the model proposed and nobody has decided on")
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setMinimumHeight(3 * self.about.fontMetrics().lineSpacing())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.choose = dialog_button(buttons, "Save as…", QDialogButtonBox.ButtonRole.AcceptRole)
        form = QFormLayout()
        form.addRow("Format", self.kind)
        form.addRow("What", self.scope)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 12)
        column.setSpacing(10)
        column.addLayout(form)
        column.addWidget(self.proposals)
        column.addWidget(self.about)
        column.addWidget(buttons)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.kind.currentIndexChanged.connect(self.refresh)
        self.scope.currentIndexChanged.connect(self.refresh)
        self.setMinimumWidth(430)
        self.refresh()

    def refresh(self, _index: int = -1) -> None:
        """Say what the format is, and whether it can be written here."""
        kind: Format = self.kind.currentData()
        lacking = kind.startswith("dicom") and find_spec("highdicom") is None
        self.about.setText(_NEEDS_EXTRA if lacking else KINDS[kind][1])
        self.choose.setEnabled(not lacking)
        self.proposals.setVisible(self.scope.currentData() is Scope.LOOP)

    def wish(self, target: Path) -> Wish:
        """Return what is asked for."""
        scope: Scope = self.scope.currentData()
        return Wish(self.kind.currentData(), scope, target, self.proposals.isChecked() and scope is Scope.LOOP)


def ask_for_export(task: Task, parent: QWidget) -> Wish | None:
    """Ask what to export and whereto; None if it is not wanted."""
    dialog = ExportDialog(task, parent)
    wanted = bool(dialog.exec())
    wish = dialog.wish(Path()) if wanted else None
    dialog.deleteLater()
    if wish is None:
        return None
    name, _ = QFileDialog.getSaveFileName(
        parent,
        "Export: name of a new folder",
        str(Path.home() / f"{task.id}_{wish.to}"),
        # An export never overwrites: that is told in a sentence of ours, whatever is answered there.
        options=QFileDialog.Option.DontConfirmOverwrite,
    )
    return Wish(wish.to, wish.scope, Path(name), wish.proposals) if name else None


class ImportDialog(QDialog):
    """Asks for a COCO file or an FM_UIA folder, and from which number its images are counted."""

    def __init__(self, task: Task, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Import labels")
        self.path: Path | None = None
        words = QLabel(
            f"Labels of “{task.title}” for the loop shown, as proposals to look at. Frames that you have decided on "
            "or changed stay as they are."
        )
        words.setWordWrap(True)
        self.first = QSpinBox()
        self.first.setRange(0, 1_000_000)
        self.first.setToolTip(
            "Only for files that are not ours, whose images end with a number: that of the first frame"
        )
        form = QFormLayout()
        form.addRow("Number of the first frame", self.first)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.coco = dialog_button(buttons, "COCO file…", QDialogButtonBox.ButtonRole.ActionRole)
        self.fmuia = dialog_button(buttons, "FM_UIA folder…", QDialogButtonBox.ButtonRole.ActionRole)
        self.coco.setEnabled(task.type != "classification")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 12)
        column.setSpacing(10)
        column.addWidget(words)
        column.addLayout(form)
        column.addWidget(buttons)
        buttons.rejected.connect(self.reject)
        self.coco.clicked.connect(self._ask_file)
        self.fmuia.clicked.connect(self._ask_folder)
        self.setMinimumWidth(430)

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "COCO file", "", "COCO (*.json)")
        self._take(name)

    def _ask_folder(self) -> None:
        self._take(QFileDialog.getExistingDirectory(self, "Folder that holds csv_files"))

    def _take(self, name: str) -> None:
        if name:
            self.path = Path(name)
            self.accept()


def ask_for_import(task: Task, parent: QWidget) -> tuple[Path, int] | None:
    """Ask which labels to import; return their path and the number of the first frame, or None."""
    dialog = ImportDialog(task, parent)
    wanted, path, first = bool(dialog.exec()), dialog.path, dialog.first.value()
    dialog.deleteLater()
    return (path, first) if wanted and path is not None else None
