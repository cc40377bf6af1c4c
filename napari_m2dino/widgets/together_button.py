"""A button whose menu accepts several predicted frames at once, from a confidence up, and says what speaks for it."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMenu

from napari_m2dino.accepting import LEAST_JUDGED, SHARE_KEPT, Offer, offers, suggested
from napari_m2dino.desk import Desk
from napari_m2dino.reviewing import Reviewing
from napari_m2dino.widgets.style import small_button

MOST_ENTRIES = 4


class TogetherButton:
    """The button and its menu.

    Attributes
    ----------
    button : QPushButton
    menu : QMenu
    """

    def __init__(self, desk: Desk, reviewing: Reviewing) -> None:
        self.desk = desk
        self.reviewing = reviewing
        self.button = small_button("Accept more…", "")
        self.menu = QMenu(self.button)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self.fill)
        self.button.setMenu(self.menu)

    def refresh(self) -> None:
        """Show whether something can be accepted together, and how many frames are suggested."""
        session = self.desk.session
        found = offers(session) if session is not None else []
        best = suggested(found)
        self.button.setEnabled(bool(found))
        self.button.setText(f"Accept {len(best.frames)} more…" if best else "Accept more…")
        self.button.setToolTip(
            f"Accept many predicted frames without a look at each. {_why(best)}"
            if found
            else "No predicted frame waits"
        )

    def fill(self) -> None:
        """Fill the menu with what can be accepted together now."""
        self.menu.clear()
        session = self.desk.session
        found = offers(session) if session is not None else []
        best = suggested(found)
        head = QAction(_why(best), self.menu)
        head.setEnabled(False)
        self.menu.addAction(head)
        self.menu.addSeparator()
        for offer in _few(found, best):
            action = QAction(f"{offer.sentence()}{' (suggested)' if offer is best else ''}", self.menu)
            action.setToolTip(f"Without a look at each; {offer.evidence()}. One step to undo.")
            action.triggered.connect(partial(self._accept, offer))
            self.menu.addAction(action)

    def _accept(self, offer: Offer, _checked: bool = False) -> None:
        self.reviewing.accept_together(offer.frames, offer.threshold)
        self.button.setFocus(Qt.FocusReason.OtherFocusReason)
        self.button.clearFocus()


def _few(found: list[Offer], best: Offer | None) -> list[Offer]:
    """Return the suggested offer, and others from all frames to few, spread over what there is."""
    others = [offer for offer in found if offer is not best]
    room = MOST_ENTRIES - (best is not None)
    step = max(1, -(-len(others) // room))
    return [*([best] if best else []), *others[::step]]


def _why(best: Offer | None) -> str:
    if best is None:
        return f"None suggested: that takes {LEAST_JUDGED} judged one by one, {SHARE_KEPT:.0%} of them left unchanged"
    return f"{best.evidence()[:1].upper()}{best.evidence()[1:]}"
