"""The optional library that writes DICOM SEG and SR."""

from __future__ import annotations

from m2dino.errors import MissingExtraError


def require_highdicom() -> None:
    """Raise `MissingExtraError` where highdicom is not installed."""
    try:
        import highdicom  # noqa: F401  # only whether it is there
    except ImportError:
        raise MissingExtraError(
            'DICOM SEG and SR need the package highdicom: pip install "napari-m2dino[dicom-export]".'
        ) from None
