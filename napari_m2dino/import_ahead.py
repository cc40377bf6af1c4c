"""What napari loads at the first layer, and carrying at the first frame, loaded while nobody waits for it."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load() -> Any:
    """Import what the first layer needs and return a registry of units for `use_units`; called in any thread."""
    import_module("pandas")
    return import_module("pint").UnitRegistry()


def use_units(registry: Any) -> None:
    """Let napari use a registry of units that is ready, where none is in use yet; in the GUI thread.

    It would make its own at the first layer: a fifth of a second for which the window stands still.
    """
    pint = import_module("pint")
    # Units of two registries do not mix, so one that was used stays.
    if isinstance(pint.get_application_registry().get(), pint.LazyRegistry):
        pint.set_application_registry(registry)


def load_for_carrying() -> None:
    """Import what carrying to neighbours needs first; called in any thread.

    Of it comes all of SciPy's statistics, half a second in which the window answers late.
    """
    # scikit-image loads a function's module when the function is asked for.
    for module, function in (("skimage.registration", "optical_flow_ilk"), ("skimage.feature", "match_template")):
        getattr(import_module(module), function)
