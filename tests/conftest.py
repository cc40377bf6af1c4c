"""What holds for all tests: nothing of the person's own settings is read, and none are changed."""

from __future__ import annotations

import os
import tempfile

os.environ["M2DINO_CALIBRATIONS"] = tempfile.mkdtemp(prefix="m2dino-test-scales-")
os.environ["M2DINO_STATE"] = tempfile.mkdtemp(prefix="m2dino-test-state-")
os.environ["M2DINO_CACHE"] = tempfile.mkdtemp(prefix="m2dino-test-cache-")
