"""What a de-identified copy will be, asked before it is written."""

from __future__ import annotations

from pathlib import Path

from m2dino.cine.loop import CineLoop
from m2dino.deid import copy_name, copy_suffix
from qtpy.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QFileDialog, QLabel, QVBoxLayout, QWidget

_WHAT = {
    "dicom": "Names, dates, identifiers, private data and free text are removed from the header, and UIDs are replaced "
    "(Basic Profile of DICOM PS3.15).",
    "video": "Tags, sound and data streams are removed. The pictures stay as they are.",
}
_AS_PICTURES = "The frames are written as PNG pictures, without tags or text fields."
_LOOK = "Text burnt into the picture itself is not looked for: look at the copy before you pass it on."


class CopyDialog(QDialog):
    """Says what is removed, and asks whether to make black what lies outside the image regions."""

    def __init__(self, loop: CineLoop, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("De-identified copy")
        self.mask_outside = QCheckBox("Make everything outside the image regions black")
        self.mask_outside.setToolTip("Not done where the file says that no text is burnt into its pixels")
        self.mask_outside.setChecked(True)
        self.mask_outside.setVisible(bool(loop.regions))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.choose = buttons.addButton("Save as…", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 12)
        column.setSpacing(10)
        for text in (_WHAT.get(loop.reader, _AS_PICTURES), _LOOK):
            words = QLabel(text)
            words.setWordWrap(True)
            column.addWidget(words)
        column.insertWidget(1, self.mask_outside)
        column.addWidget(buttons)
        self.setMinimumWidth(430)


def ask_for_copy(loop: CineLoop, parent: QWidget) -> tuple[Path, bool] | None:
    """Ask how and where to copy a loop; return the copy's path and whether to mask, or None if it is not wanted."""
    suffix = copy_suffix(loop)
    dialog = CopyDialog(loop, parent)
    wanted = dialog.exec()
    mask = dialog.mask_outside.isChecked()
    dialog.deleteLater()
    if not wanted:
        return None
    name, _ = QFileDialog.getSaveFileName(
        parent,
        "De-identified copy" if suffix else "De-identified copy: name of a new folder",
        str(Path.home() / f"{copy_name(loop)}{suffix}"),
        f"*{suffix}" if suffix else "",
        # A copy never overwrites: that is told in a sentence of ours, whatever is answered there.
        options=QFileDialog.Option.DontConfirmOverwrite,
    )
    if not name:
        return None
    target = Path(name)
    return (target if target.suffix.lower() == suffix else target.with_name(target.name + suffix)), mask
