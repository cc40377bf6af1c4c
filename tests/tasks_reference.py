"""The 27 tasks of FM_UIA 2026 as the organisers define them: id, type, number of classes; and the clinical group.

Written down apart from tasks.toml, so that a slip there is seen. For regression the number is that of the points; the
groups other than OB, Breast and Lung are this project's own.
"""

from __future__ import annotations

REFERENCE: tuple[tuple[str, str, int, str], ...] = (
    ("breast_lesion", "segmentation", 2, "Breast"),
    ("cardiac_multi", "segmentation", 4, "Cardiac"),
    ("carotid_artery", "segmentation", 2, "Vascular"),
    ("cervix", "segmentation", 2, "OB"),
    ("cervix_multi", "segmentation", 3, "OB"),
    ("fetal_abdomen_multi", "segmentation", 5, "OB"),
    ("fetal_head", "segmentation", 2, "OB"),
    ("fetal_heart", "segmentation", 2, "OB"),
    ("head_symphysis_multi", "segmentation", 3, "OB"),
    ("lung", "segmentation", 2, "Lung"),
    ("ovary_tumor", "segmentation", 2, "Gynae"),
    ("thyroid_nodule", "segmentation", 2, "Thyroid"),
    ("breast_2cls", "classification", 2, "Breast"),
    ("breast_3cls", "classification", 3, "Breast"),
    ("fetal_head_pos_cls", "classification", 8, "OB"),
    ("fetal_plane_cls", "classification", 6, "OB"),
    ("fetal_sacral_pos_cls", "classification", 8, "OB"),
    ("liver_lesion_2cls", "classification", 2, "Abdominal"),
    ("lung_2cls", "classification", 2, "Lung"),
    ("lung_disease_3cls", "classification", 3, "Lung"),
    ("organ_cls", "classification", 6, "Abdominal"),
    ("spinal_cord_injury_loc", "detection", 1, "Neuro"),
    ("thyroid_nodule_det", "detection", 1, "Thyroid"),
    ("uterine_fibroid_det", "detection", 1, "Gynae"),
    ("FUGC", "regression", 2, "OB"),
    ("IUGC", "regression", 3, "OB"),
    ("fetal_femur", "regression", 2, "OB"),
)

ONE_OF_EACH = {
    "segmentation": "cardiac_multi",
    "classification": "breast_3cls",
    "detection": "thyroid_nodule_det",
    "regression": "IUGC",
}
"""A task of each type, of more than two classes or points where there is one."""
