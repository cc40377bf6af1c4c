"""Tooltips that name the key of their action, whatever it is now."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget

from napari_m2dino.keys import Keys


def name_keys(keys: Keys, *tips: tuple[QWidget, str, str]) -> None:
    """Give widgets tooltips that follow the keys.

    Parameters
    ----------
    keys : Keys
    tips : tuples of (widget, words, shortcut id)
    """

    def say() -> None:
        for widget, words, shortcut_id in tips:
            widget.setToolTip(keys.tip(words, shortcut_id))

    keys.changed.connect(say)
    say()
