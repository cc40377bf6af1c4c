"""The command line: `m2dino`. Exit status 0 done, 1 a user's mistake (one sentence on stderr), 2 wrong usage."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NoReturn

import typer

from m2dino.errors import M2DinoError

COMMANDS = (
    "tasks",
    "loops",
    "predict",
    "evaluate",
    "training",
    "finetune",
    "lineage",
    "dataset",
    "export",
    "checkpoint",
    "deid",
    "advise",
    "study",
)


def build_app() -> typer.Typer:
    """Return the application with every sub-command registered."""
    app = typer.Typer(
        name="m2dino",
        help="Ultrasound loops: predict, correct, train. For research use, not for clinical decisions.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for name in COMMANDS:
        import_module(f"m2dino.commands.{name}").register(app)
    return app


def main() -> None:
    """Run the command line and exit."""
    try:
        try:
            build_app()()
        finally:
            sys.stdout.flush()  # here, where a reader that has gone can still be told from a mistake
    except M2DinoError as error:
        print(f"m2dino: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("m2dino: stopped.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        _leave_without_a_reader()
    except SystemExit as leaving:
        # The command-line library meets a broken pipe before us, and leaves with 1.
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        _leave_without_a_reader()


def _leave_without_a_reader() -> NoReturn:
    """Exit as done: the reader of our output (such as `head`) has gone, and nothing is left to say."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)
