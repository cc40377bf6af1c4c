"""A hundred damaged files: each ends in a typed error or in frames, in 5 s and 1 GiB, and takes no program down.

`fuzz_loops.py` runs thousands of them by hand; those that once failed are here by their numbers.
"""

from __future__ import annotations

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("peak memory is read from /proc, which only Linux has", allow_module_level=True)

from tests.cine.fuzz_loops import BYTES, SECONDS, run_cases

ONCE_WRONG = [1621, 1947, 2201, 3786, 5730]


def test_a_hundred_damaged_files_end_well() -> None:
    seeds = [*ONCE_WRONG, *range(20_000, 20_000 + 95)]
    outcomes = list(run_cases(seeds))
    assert sorted(outcome.seed for outcome in outcomes) == sorted(seeds)
    assert [outcome for outcome in outcomes if not outcome.well] == []
    assert max(outcome.seconds for outcome in outcomes) < SECONDS
    assert max(outcome.mebibytes for outcome in outcomes) * 2**20 < BYTES
    assert {outcome.what for outcome in outcomes} == {"error", "image"}, "both ends are met, or nothing was tried"
