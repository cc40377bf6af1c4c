"""Optional packages: whether they are there, and what to install where they are not."""

from __future__ import annotations

from importlib import import_module

from m2dino.errors import MissingExtraError


def require(package: str, extra: str, what: str) -> None:
    """Import an optional package.

    Parameters
    ----------
    package : str
        Name to import, and to install.
    extra : str
        The extra of this project that brings it.
    what : str
        What needs it, as the beginning of the sentence for the person: "DICOM SEG and SR need".

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        import_module(package)
    except ImportError:
        raise MissingExtraError(f'{what} the package {package}: pip install "napari-m2dino[{extra}]".') from None
