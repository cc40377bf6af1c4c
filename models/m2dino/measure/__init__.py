"""Measurements on masks, boxes and points: in pixels, or in millimetres where a calibration holds."""

from m2dino.measure.by_task import changes, measure, measure_loop
from m2dino.measure.result import Measurement
from m2dino.measure.table import rows, write_table

__all__ = ["Measurement", "changes", "measure", "measure_loop", "rows", "write_table"]
