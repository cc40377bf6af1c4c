"""What holds for all tests: nothing of the person's own settings is read, and none are changed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.in_process import Run, runner
from tests.own_screen import VIRTUAL

os.environ["M2DINO_CALIBRATIONS"] = tempfile.mkdtemp(prefix="m2dino-test-scales-")
os.environ["M2DINO_STATE"] = tempfile.mkdtemp(prefix="m2dino-test-state-")
os.environ["M2DINO_CACHE"] = tempfile.mkdtemp(prefix="m2dino-test-cache-")

WINDOWS = Path(__file__).parent / "gui"
OFF_SCREEN = {"test_kills.py", *(["test_tour.py"] if VIRTUAL else [])}
"""Files in there whose windows are never on this screen: in processes without one, or with one of their own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests stay together where several processes share them.

    One process has all windows, so that none takes the keyboard from another; files stay whole for their fixtures.
    """
    for item in items:
        on_screen = item.path.is_relative_to(WINDOWS) and item.path.name not in OFF_SCREEN
        group = "windows" if on_screen else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: the same entry point, without another start of torch."""
    return runner(monkeypatch, capfd)
