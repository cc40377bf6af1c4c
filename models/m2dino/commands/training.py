"""`m2dino train`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from m2dino.commands.console import log_progress, stop_on_interrupt, terminal_progress
from m2dino.errors import UsageError
from m2dino.progress import ignore_progress
from m2dino.tasks import load_tasks

if TYPE_CHECKING:
    from m2dino.network.card import ModelCard
    from m2dino.training.run import CardText

LEARNING = "Learning"
_STOPPED = "Stopped; repeat the command to go on from here."
_CARD: dict[str, tuple[type, str]] = {
    "title": (str, "a text in quotes"),
    "licence": (str, "a text in quotes"),
    "data": (list, "a list of texts in quotes"),
    "limits": (str, "a text in quotes"),
    "extra": (dict, "a table of texts in quotes"),
}
"""What a card file may hold."""


def register(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    roots: Annotated[list[Path], typer.Argument(help="Data sets in the FM_UIA layout.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Checkpoint to write; a folder if several are trained.")],
    tasks: Annotated[str, typer.Option(help="Task ids, separated by commas; all that have data by default.")] = "",
    val: Annotated[list[Path] | None, typer.Option(help="Data sets to hold out; may be repeated.")] = None,
    val_fraction: Annotated[float, typer.Option(min=0.01, max=0.5, help="Held-out share without a val.")] = 0.15,
    paradigm: Annotated[
        Literal["all-task", "clinically-grouped", "task-specific"], typer.Option(help="Which tasks share a network.")
    ] = "all-task",
    preset: Annotated[Literal["tiny", "small", "base", "large"], typer.Option(help="Size of the network.")] = "tiny",
    pretrained: Annotated[bool, typer.Option(help="Start from the weights that timm has for the preset.")] = False,
    weights: Annotated[Path | None, typer.Option(help="Start from a file of DINOv3 weights (safetensors).")] = None,
    minutes: Annotated[float | None, typer.Option(help="Length of the run, for each network.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Length of the run; 30 if neither is given.")] = None,
    experts: Annotated[int, typer.Option(min=1, help="Experts of each mixture.")] = 4,
    top_k: Annotated[int, typer.Option(min=0, help="Experts used per token; 0 mixes all.")] = 0,
    image_size: Annotated[int, typer.Option(help="Side of the network's input, px; a multiple of 16.")] = 256,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step.", rich_help_panel=LEARNING)] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and all draws.", rich_help_panel=LEARNING)] = 0,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate of the encoder.", rich_help_panel=LEARNING)
    ] = None,
    head_lr: Annotated[
        float, typer.Option(help="Peak learning rate of decoder and heads.", rich_help_panel=LEARNING)
    ] = 1e-3,
    layer_decay: Annotated[
        float | None,
        typer.Option(help="Factor of the rate from block to block, downwards.", rich_help_panel=LEARNING),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Tasks take turns by rows^alpha: 0 all alike, 1 by size.", rich_help_panel=LEARNING)
    ] = 0.5,
    co_labelled: Annotated[
        bool, typer.Option(help="Learn all the labels of an image in one step.", rich_help_panel=LEARNING)
    ] = True,
    tasks_per_step: Annotated[
        int, typer.Option(min=0, help="Most tasks of such a step; 0 for all.", rich_help_panel=LEARNING)
    ] = 0,
    coarse: Annotated[
        float,
        typer.Option(help="Share of the run, from its start, on smaller images: faster.", rich_help_panel=LEARNING),
    ] = 0.0,
    loss: Annotated[
        Literal["ours", "paper"],
        typer.Option(help="Of masks: Dice and cross-entropy, or Dice alone.", rich_help_panel=LEARNING),
    ] = "ours",
    class_balance: Annotated[
        float, typer.Option(help="Weigh classes by rows^-b: 0 not at all, 1 fully.", rich_help_panel=LEARNING)
    ] = 0.0,
    focal: Annotated[
        float, typer.Option(help="Exponent of the focal loss; 0 is none.", rich_help_panel=LEARNING)
    ] = 0.0,
    deep: Annotated[
        float,
        typer.Option(help="Weight of the loss on coarser maps; 0 is none.", rich_help_panel=LEARNING),
    ] = 0.0,
    keep: Annotated[
        Literal["best", "last"],
        typer.Option(help="The state with the best held-out score, or the last.", rich_help_panel=LEARNING),
    ] = "best",
    early_stop: Annotated[
        int, typer.Option(min=0, help="End after so many checks without a better score.", rich_help_panel=LEARNING)
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that decode and augment.")] = 1,
    precision: Annotated[Literal["float32", "float16"], typer.Option(help="Of the weights in the file.")] = "float32",
    task_file: Annotated[list[Path] | None, typer.Option(help="A TOML file of your own tasks.")] = None,
    card: Annotated[Path | None, typer.Option(help="A TOML file with title, licence, data and limits.")] = None,
    restart: Annotated[bool, typer.Option(help="Forget an interrupted run.")] = False,
    log_every: Annotated[float | None, typer.Option(help="Print a line every so many seconds.")] = None,
) -> None:
    """Train a network on labelled data. An interrupted run goes on when its command is repeated."""
    from m2dino.network.config import preset as preset_of
    from m2dino.training.data import gather
    from m2dino.training.paradigms import partition
    from m2dino.training.processes import is_first
    from m2dino.training.run import Start, finished, run
    from m2dino.training.settings import PAPER_LOSSES, LossSettings, TrainSettings

    if minutes is not None and epochs is not None:
        raise UsageError("Give --minutes or --epochs, not both.")
    if pretrained and weights is not None:
        raise UsageError("Give --pretrained or --weights, not both.")
    for root in roots:
        if root.suffix == ".safetensors":
            raise UsageError(f"{root}: weights to start from are given by --weights {root}, not as a data set.")
    given = pretrained or weights is not None
    usual_lr, usual_decay = TrainSettings.encoder_rates(given)
    settings = TrainSettings(
        minutes=minutes,
        epochs=30.0 if minutes is None and epochs is None else epochs,
        batch_size=batch_size,
        seed=seed,
        encoder_lr=lr if lr is not None else usual_lr,
        head_lr=head_lr,
        layer_decay=layer_decay if layer_decay is not None else usual_decay,
        alpha=alpha,
        co_labelled=co_labelled,
        tasks_per_step=tasks_per_step,
        coarse=coarse,
        losses=replace(
            PAPER_LOSSES if loss == "paper" else LossSettings(), class_balance=class_balance, focal=focal, deep=deep
        ),
        keep=keep,
        early_stop=early_stop,
    )
    start = Start(pretrained, weights)
    first = is_first()
    architecture = preset_of(preset).with_options(num_experts=experts, top_k=top_k, image_size=image_size)
    text = _card_text(card)
    if given and first:
        start.signature()  # a file that is not there has no licence
        # Before they are fetched or read, so that there is time to think better of it.
        print(f"Licence of what is trained from them: {start.weights_licence(architecture)}.", file=sys.stderr)
    wanted = [task.strip() for task in tasks.split(",") if task.strip()] or None
    data = gather(
        roots,
        load_tasks(task_file or ()),
        val_roots=val or (),
        task_ids=wanted,
        val_fraction=val_fraction,
        seed=seed,
        on_progress=terminal_progress() if first else ignore_progress,
    )
    for remark in data.remarks if first else ():
        print(remark, file=sys.stderr)
    parts = partition(data.tasks, paradigm)
    progress = log_progress(log_every) if log_every else terminal_progress()
    progress = progress if first else ignore_progress
    with stop_on_interrupt(saves=True) as should_stop:
        files = {name: out if paradigm == "all-task" else out / f"{name}.safetensors" for name in parts}
        done = {name: finished(data.only(parts[name]), architecture, settings, files[name], start) for name in parts}
        for name, task_ids in parts.items():
            # The one process that evaluates may have been stopped there: the others must not wait in the next training.
            if should_stop():
                if first:
                    print(_STOPPED, file=sys.stderr)
                return
            file, there = files[name], done[name]
            if there is not None and not restart:
                if first:
                    print_card(there, file)
                    print(f"{file} was finished before; --restart trains it anew.", file=sys.stderr)
                continue
            made, result = run(
                data.only(task_ids),
                architecture,
                settings,
                file,
                text=text,
                start=start,
                precision=precision,
                device=device,
                workers=workers,
                restart=restart,
                on_progress=progress,
                should_stop=should_stop,
            )
            if first and result.left_out:
                print(f"{result.left_out} steps were left out: the loss was not a number.", file=sys.stderr)
            if first and made.id:  # without one it was not written: what was finished before lies there
                print_card(made, file)
            if result.stopped:
                if first:
                    print(_STOPPED, file=sys.stderr)
                return


def _card_text(path: Path | None) -> CardText:
    import tomllib

    from m2dino.training.run import CardText

    if path is None:
        return CardText()
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a usable card file ({error}).") from error
    for key, value in data.items():
        if key not in _CARD:
            raise UsageError(f"{path}: {key!r} is no key of a card; there are {', '.join(_CARD)}.")
        kind, what = _CARD[key]
        parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        if not isinstance(value, kind) or not all(isinstance(part, str) for part in parts):
            raise UsageError(f"{path}: {key} must be {what}; correct it.")
    return CardText(**{**data, "data": tuple(data.get("data", []))})


def print_card(card: ModelCard, path: Path) -> None:
    """Print what a checkpoint knows, a line a task."""
    print(f"{path}  {card.id}")
    for task_id, report in card.tasks.items():
        metrics = ", ".join(f"{name} {metric.value:.3f}" for name, metric in report.metrics.items())
        print(f"  {task_id:24} {report.n_train:5d} trained, {report.n_val:4d} held out  {metrics or '-'}")
