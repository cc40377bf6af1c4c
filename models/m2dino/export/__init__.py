"""Annotations in the formats of other programs, and back.

`loops_of_store` or `annotated_loop` give what is to be written, `export_annotations` writes it; `read_coco` and
`read_fmuia` give the values of a loop's frames from a file. Heavy libraries come with the format that needs them.
"""

from __future__ import annotations

from m2dino.export.annotated import AnnotatedLoop, Annotation, annotated_loop
from m2dino.export.coco_read import read_coco
from m2dino.export.fmuia_read import read_fmuia
from m2dino.export.from_store import find_loops, loops_of_store
from m2dino.export.identity import PatientOptions
from m2dino.export.run import FORMATS, Exported, Format, export_annotations

__all__ = [
    "FORMATS",
    "AnnotatedLoop",
    "Annotation",
    "Exported",
    "Format",
    "PatientOptions",
    "annotated_loop",
    "export_annotations",
    "find_loops",
    "loops_of_store",
    "read_coco",
    "read_fmuia",
]
