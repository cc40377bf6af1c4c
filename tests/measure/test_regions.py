"""Figures of regions agree with those of the shapes drawn, whatever the shape of a pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m2dino.measure.ellipse import fitted_ellipse, moment_ellipse, ramanujan_circumference
from m2dino.measure.regions import area, perimeter, region_measurements
from m2dino.measure.scale import Scale
from m2dino.measure.ventricle import volume
from m2dino.measure.vessel import lumen_diameter
from m2dino.scoring.lengths import circumference

from tests.measure.shapes import SHAPE, band, ellipse

# Pixels of 0.4 to 0.9 mm, at most 1.8 times as high as wide or the reverse; axes of 25 to 55 mm.
pixels = st.tuples(st.floats(0.5, 0.9), st.floats(0.5, 0.9))
axes = st.tuples(st.floats(40, 55), st.floats(25, 39))
turns = st.floats(0, math.pi)
few = settings(max_examples=25, deadline=None)


def scale(pixel: tuple[float, float]) -> Scale:
    return Scale(pixel, True, "test")


@few
@given(pixels, axes, turns)
def test_an_ellipse_is_measured_in_millimetres(
    pixel: tuple[float, float], size: tuple[float, float], turn: float
) -> None:
    region = ellipse(*size, turn, pixel)
    true = circumference(*size)
    assert area(region, scale(pixel)) == pytest.approx(math.pi / 4 * size[0] * size[1], rel=0.01)
    assert perimeter(region, scale(pixel)) == pytest.approx(true, rel=0.01)
    for found in (fitted_ellipse(region, scale(pixel)), moment_ellipse(region, scale(pixel))):
        assert found is not None
        assert found.major == pytest.approx(size[0], rel=0.015)
        assert found.minor == pytest.approx(size[1], rel=0.015)
        assert found.circumference == pytest.approx(true, rel=0.01)
        # Two lines through the middle: their angle, whichever way they point.
        along = abs(found.direction[0] * math.cos(turn) + found.direction[1] * math.sin(turn))
        assert along > (0.99 if size[0] > 1.2 * size[1] else 0)


@given(st.floats(1, 300), st.floats(1 / 3, 1))
def test_the_formula_of_the_circumference_is_that_of_the_integral(axis: float, ratio: float) -> None:
    assert ramanujan_circumference(axis, axis * ratio) == pytest.approx(circumference(axis, axis * ratio), rel=1e-6)


@few
@given(pixels, st.floats(4, 12), turns)
def test_a_vessel_cut_along_has_the_width_of_its_band(pixel: tuple[float, float], width: float, turn: float) -> None:
    found = lumen_diameter(band(50, width, turn, pixel), scale(pixel))
    assert found.unit == "mm"
    assert found.value == pytest.approx(width, abs=1.01 * max(pixel))  # a border may fall just beside a row of centres
    assert "along" in found.inputs


@few
@given(pixels, st.floats(8, 20), turns)
def test_a_vessel_cut_across_and_aslant_has_its_short_axis(
    pixel: tuple[float, float], width: float, turn: float
) -> None:
    found = lumen_diameter(ellipse(1.4 * width, width, turn, pixel), scale(pixel))
    assert found.value == pytest.approx(width, abs=0.7 * max(pixel))
    assert "across" in found.inputs


@few
@given(pixels, axes, turns)
def test_the_discs_of_an_ellipsoid_have_its_volume(
    pixel: tuple[float, float], size: tuple[float, float], turn: float
) -> None:
    found = volume(ellipse(*size, turn, pixel), None, scale(pixel))
    assert found.unit == "ml"
    # Where the axes are nearly equal it does not matter about which of them the shape turns, but by their ratio.
    assert found.value == pytest.approx(math.pi / 6 * size[0] * size[1] ** 2 / 1000, rel=0.03)


def test_the_axis_of_a_ventricle_leads_from_the_atrium_to_the_apex() -> None:
    # Wider than long: only the atrium tells which way the ventricle points.
    cavity = ellipse(60, 40, math.pi / 2, (1, 1))
    atrium = ellipse(30, 30, 0, (1, 1), (34, 0)) & ~cavity
    by_atrium, alone = volume(cavity, atrium, scale((1, 1))), volume(cavity, None, scale((1, 1)))
    assert by_atrium.value == pytest.approx(math.pi / 6 * 40 * 60 * 60 / 1000, rel=0.05)
    assert alone.value == pytest.approx(math.pi / 6 * 60 * 40 * 40 / 1000, rel=0.03)


def test_a_hole_has_an_outline_and_the_edge_of_the_frame_counts() -> None:
    ring = ellipse(60, 60, 0, (1, 1)) & ~ellipse(20, 20, 0, (1, 1))
    assert perimeter(ring, scale((1, 1))) == pytest.approx(math.pi * 80, rel=0.01)
    whole = np.ones(SHAPE, dtype=bool)
    assert perimeter(whole, Scale()) == pytest.approx(2 * sum(SHAPE), rel=0.01)
    assert area(whole, Scale()) == SHAPE[0] * SHAPE[1]


def test_a_line_of_one_pixel_has_an_outline() -> None:
    line = np.zeros(SHAPE, dtype=bool)
    line[40, 20:120] = True
    assert perimeter(line, Scale()) == pytest.approx(202, rel=0.05)


def test_an_absent_class_says_so() -> None:
    found = region_measurements("cyst", np.zeros(SHAPE, dtype=bool), Scale())
    assert [one.value for one in found] == [None, None]
    assert all("no cyst" in one.reason for one in found)
    assert lumen_diameter(np.zeros(SHAPE, dtype=bool), Scale()).reason
    assert volume(np.zeros(SHAPE, dtype=bool), None, Scale()).reason
