"""A copy of a store's FM_UIA view that stands alone, for the challenge's code or another program."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from m2dino.data.store import Store
from m2dino.data.store_schema import store_errors
from m2dino.errors import StoreError, UsageError


def export_view(store: Store, target: Path) -> int:
    """Copy the FM_UIA view of a store to a new folder, whole or not at all; return the number of tables.

    Raises
    ------
    UsageError
        The folder is there and holds something.
    StoreError
        There is nothing to export, or the view is behind the records.
    StoreWriteError
        The disk is full or read-only; nothing was left behind.
    """
    target = Path(target)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} is there already; choose a new folder to export to.")
    if not store.view_is_current():
        raise StoreError(f"{store.folder}: the FM_UIA view is behind the records; run `m2dino dataset rebuild` first.")
    views = [view for view in store.views() if view.table.is_file()]
    if not views:
        raise StoreError(f"{store.folder}: the store holds no accepted or edited frame to export.")
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
    with store_errors(target, writing=True):
        try:
            for view in views:
                for source in (view.table, view.files):
                    copy = part / source.relative_to(store.folder)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    if source.is_dir():
                        shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".*"))
                    else:
                        shutil.copyfile(source, copy)
            if target.exists():
                target.rmdir()
            os.replace(part, target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return len(views)
