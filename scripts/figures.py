"""Write the README's table of what the bundled checkpoint knows from its model card: `make figures`.

`--check` writes nothing and fails if the table is out of date.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from m2dino.network.card import ModelCard, bundled_checkpoint, read_card

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN = "<!-- bundled checkpoint: begin (from its model card: make figures) -->\n"
END = "<!-- bundled checkpoint: end -->\n"


def table(card: ModelCard) -> str:
    """Return the Markdown table of a card, a row a task."""
    lines = ["| task | type | held-out figure (95 % interval) | images: trained on / held out |", "|---|---|---|---|"]
    for task_id, report in card.tasks.items():
        lines.append(f"| `{task_id}` | {report.task.type} | {report.headline()} | {report.n_train} / {report.n_val} |")
    return "\n".join(lines) + "\n"


def replaced(text: str, new: str) -> str:
    """Return `text` with what lies between the two markers replaced.

    Raises
    ------
    ValueError
        A marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("README.md has lost the markers of the table")
    return before + begin + new + end + after


def main() -> None:
    """Write the table, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the table is up to date")
    check = parser.parse_args().check
    old = README.read_text(encoding="utf-8")
    new = replaced(old, table(read_card(bundled_checkpoint())))
    if check and new != old:
        raise SystemExit("README.md: the table of the bundled checkpoint is out of date: make figures")
    if not check:
        README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
