"""Which subject or recording an image belongs to, told from its file name.

Rules, first match wins; the letters of a key are lower case, and no rule looks at the folder, because one recording is
spread over the folders of several tasks:

1. `<recording>_slice_<n>`: the recording (CCAUS).
2. `Patient00001_Plane1_1_of_15`, `patient0001_4CH_ED`: the patient (Fetal Planes, CAMUS).
3. `010_HC`, `010_2HC`: the subject `010` (HC18).
4. `241017091831.zhc_80`, a name that starts with a time stamp of at least eight digits and ends with a number after a
   dot or an underscore: everything before that number (intrapartum frames).

Anything else is a subject of its own: the path of the image inside its root.
"""

from __future__ import annotations

import re
from pathlib import PurePath

_RULES = (
    ("recording", re.compile(r"(.+?)_slice_.*", re.IGNORECASE)),
    ("patient", re.compile(r"patient[-_ ]?(\d+)(?:[-_. ].*)?", re.IGNORECASE)),
    ("hc18", re.compile(r"(\d{3})_\d*HC.*")),
    ("recording", re.compile(r"(\d{8,}.*)[._]\d+")),
)


def subject_of(image: PurePath) -> str | None:
    """Return the subject or recording that a file name tells, or None where no rule knows the name.

    Parameters
    ----------
    image : path
        Only the name without its extension is looked at.
    """
    for kind, rule in _RULES:
        found = rule.fullmatch(image.stem)
        if found:
            return f"{kind}:{found[1].lower()}"
    return None
