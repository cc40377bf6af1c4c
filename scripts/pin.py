"""Write constraints.txt: the exact versions, as installed here, of all that the project and its tests stand on.

Run it in an environment whose tests pass: `make constraints`. Packages that happen to be installed and that nothing of
ours needs are left out.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Versions known to work together, written by scripts/pin.py: `make constraints`.
# Used by `make run` and `make test`; a plain `pip install` of the package does not need them.
"""


def wanted() -> list[str]:
    """Return the requirements of the project, of its extra pyqt5, of its tests and of its build."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["pyqt5"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]


def pins(requirements: list[str]) -> dict[str, str]:
    """Return name -> installed version of the requirements and of all that they require here in turn."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(text, frozenset({""})) for text in requirements]
    while waiting:
        text, extras = waiting.pop()
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        key = (name, frozenset(requirement.extras))
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        if key in seen:
            continue
        seen.add(key)
        try:
            package = distribution(name)
        except PackageNotFoundError as error:
            raise SystemExit(f"{name} is required but not installed here: run `make test` first.") from error
        # A local build such as 2.9.0+cpu is found in one place only; the plain version is found everywhere.
        found[name] = package.version.partition("+")[0]
        waiting += [(needed, frozenset({"", *requirement.extras})) for needed in package.requires or []]
    return found


def main() -> None:
    """Write the file."""
    lines = [f"{name}=={version}\n" for name, version in sorted(pins(wanted()).items())]
    (ROOT / "constraints.txt").write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"constraints.txt: {len(lines)} packages")


if __name__ == "__main__":
    main()
