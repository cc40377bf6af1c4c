"""What the pages say is so: links lead somewhere, examples work, commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from m2dino.cli import build_app
from m2dino.tasks import read_task_file

from napari_m2dino.shortcuts import table

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'(?:src|href)="([^"]+)"', text)]
    broken = [
        target
        for target in targets
        if not target.startswith(("http://", "https://", "#", "mailto:"))
        and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert not broken


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in sorted(folder.glob("0*.md"))] == re.findall(r"\]\((0[^)]*\.md)\)", text)


def test_the_readme_names_the_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make run" in text
    assert "make test" in text
    assert "not for clinical" in text


def test_the_figures_in_the_readme_are_those_of_the_bundled_checkpoint() -> None:
    script = ROOT / "scripts" / "figures.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_example_of_own_tasks_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "own-tasks.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    path = tmp_path / "tasks.toml"
    path.write_text(example, encoding="utf-8")
    assert {task.type for task in read_task_file(path)} == {"segmentation", "regression"}


def documented_commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                line = line.partition("#")[0].strip().removeprefix("$ ")
                if line.startswith("m2dino ") and line not in found:
                    found.append(line)
    return found


@pytest.mark.parametrize("line", documented_commands())
def test_a_documented_command_exists(line: str) -> None:
    """Every sub-command is known and takes every option that a page gives it."""
    command = typer.main.get_command(build_app())
    words = shlex.split(line)[1:]
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"{name} is not a command"
        command = command.commands[name]
    assert command.params
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert used <= known | {"--help"}


def test_the_table_of_keys_is_that_of_the_registry() -> None:
    text = (ROOT / "docs" / "user-guide.md").read_text(encoding="utf-8")
    part = text.partition("| key | what it does | |\n|---|---|---|\n")[2].partition("\n\n")[0]
    assert [tuple(re.findall(r"^\| `(.*?)` \| (.*?) \|", line)[0]) for line in part.splitlines()] == table()
