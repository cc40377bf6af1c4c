"""The corrected frames as the network's frozen part sees them, computed once and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from m2dino.data.augment import Augmentation
from m2dino.data.letterbox import Letterbox
from m2dino.data.records import Record
from m2dino.data.samples import SampleMaker, letterboxed
from m2dino.data.seen import as_seen
from m2dino.data.store import Store
from m2dino.device import has_bfloat16
from m2dino.errors import TrainingError
from m2dino.network.backbone import Prefix
from m2dino.network.model import Encoded
from m2dino.predictor import Model, join_prefixes, split_prefix
from m2dino.progress import ShouldStop, never_stop
from m2dino.training.corrections import Corrections
from m2dino.training.finetune_common import FinetuneSettings
from m2dino.training.halving import Halving, Indices
from m2dino.training.speed import Stopwatch
from m2dino.values import Value

STOPPED = "Stopped before anything was learnt; no new checkpoint was made."
ROOM_BYTES = 2**30
"""What a round's pictures may take of the memory; more pictures than that are learnt in several rounds."""
AT_ONCE = 8
SEED_RANGE = 2**62

AUGMENTATION = Augmentation()
Order = tuple[Record, int | None]
CPU = torch.device("cpu")
Kept = TypeVar("Kept", Prefix, Encoded)


def autocast(model: Model) -> torch.autocast:
    """Return a context that computes in bfloat16 where the device does so in hardware."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=has_bfloat16(model.device))


def _moved(part: Kept, device: torch.device) -> Kept:
    tokens, taps, detail = part
    return type(part)(
        tokens.to(device), tuple(tap.to(device) for tap in taps), tuple(map_.to(device) for map_ in detail)
    )


def _leave_device(kept: list[Kept]) -> None:
    """Move to the computer's memory, in place, what was kept in the device's."""
    kept[:] = [_moved(part, CPU) for part in kept]


class Round:
    """Pictures that are in memory together: the device's, or once that was full, the computer's.

    Attributes
    ----------
    of : int
        How many rounds there are.
    grid : tuple of int
        Patches (h, w) of a picture.
    """

    def __init__(
        self, model: Model, task_id: str, of: int, prefixes: list[Prefix], targets: list[Tensor], halving: Halving
    ) -> None:
        self.of, self.grid = of, (model.size // 16, model.size // 16)
        self._model, self._task_id = model, task_id
        self._prefixes, self._targets = prefixes, targets
        self._encoded: list[Encoded] = []
        self._halving = halving

    def __len__(self) -> int:
        return len(self._prefixes)

    def prefix(self, chosen: Indices) -> Prefix:
        """Return what the task-free half said of some pictures."""
        return join_prefixes([_moved(self._prefixes[i], self._model.device) for i in chosen])

    def leave_device(self) -> None:
        """Keep pictures in the computer's memory from now on: the device's is full."""
        self._halving.full = True
        _leave_device(self._prefixes)
        _leave_device(self._encoded)

    def encode_all(self, should_stop: ShouldStop = never_stop) -> None:
        """Have the encoder say what `encoded` returns, as far as it has not; stopped, it goes on at the next call."""
        with torch.no_grad():
            for first in range(len(self._encoded), len(self), AT_ONCE):
                if should_stop():
                    return
                some = np.arange(first, min(first + AT_ONCE, len(self)))
                self._encoded += self._halving.each(some, self._encode, self.leave_device)

    def encoded(self, chosen: Indices) -> Encoded:
        """Return what the encoder said of some pictures when it was asked first: it must not learn in between."""
        self.encode_all()
        parts = [_moved(self._encoded[i], self._model.device) for i in chosen]
        return Encoded(
            torch.cat([part.tokens for part in parts]),
            tuple(torch.cat(taps) for taps in zip(*(part.taps for part in parts), strict=True)),
            self.prefix(chosen).detail,
        )

    def targets(self, chosen: Indices) -> Tensor:
        return torch.stack([self._targets[i] for i in chosen]).to(self._model.device)

    def _encode(self, chosen: Indices) -> Iterator[Encoded]:
        with autocast(self._model):
            whole = self._model.net.encode(self.prefix(chosen), self.grid, self._task_id)
        for i in range(len(chosen)):
            one = Encoded(whole.tokens[i : i + 1].clone(), tuple(tap[i : i + 1].clone() for tap in whole.taps))
            yield _moved(one, CPU) if self._halving.full else one


class Pictures:
    """Each corrected frame plain, then augmented as often as the settings ask for."""

    def __init__(
        self, model: Model, store: Store, data: Corrections, settings: FinetuneSettings, watch: Stopwatch
    ) -> None:
        self._watch = watch
        self._model, self._store, self._data, self._seed = model, store, data, settings.seed
        self._halving = Halving(AT_ONCE)
        self._maker = SampleMaker({data.task.id: data.task}, model.size, AUGMENTATION)
        rng = np.random.default_rng(settings.seed)
        variants = settings.pictures_for(len(data.train)) // len(data.train)
        self._orders: list[Order] = [
            (record, seed)
            for record in data.train
            for seed in (None, *rng.integers(0, SEED_RANGE, size=variants - 1).tolist())
        ]

    def rounds(self, should_stop: ShouldStop) -> Iterator[Round]:
        """Yield the pictures, as many at a time as the memory should hold.

        Raises
        ------
        TrainingError
            Stopped while looking at the first of them.
        StoreError
            A picture is missing or damaged.
        """
        size = self._room()
        count = -(-len(self._orders) // size)
        order = np.random.default_rng(self._seed).permutation(len(self._orders)) if count > 1 else None
        for number in range(count):
            chosen = self._orders if order is None else [self._orders[i] for i in order[number::count]]
            prefixes: list[Prefix] = []
            targets: list[Tensor] = []
            for first in range(0, len(chosen), AT_ONCE):
                if should_stop():
                    if number:
                        return
                    raise TrainingError(STOPPED)
                part = chosen[first : first + AT_ONCE]
                with self._watch.timing("picture", len(part)):
                    made = self._made(part, prefixes)
                for prefix, target in made:
                    prefixes.append(prefix)
                    targets.append(target)
            yield Round(self._model, self._data.task.id, count, prefixes, targets, self._halving)

    def _room(self) -> int:
        """Return how many pictures a round may hold."""
        ((prefix, target),) = self._made(self._orders[:1], [])
        # Twice: what the encoder says is about as large.
        each = 2 * sum(part.nbytes for part in (prefix.tokens, *prefix.taps, *prefix.detail)) + target.nbytes
        return max(AT_ONCE, ROOM_BYTES // each)

    @torch.no_grad()
    def _made(self, orders: Sequence[Order], others: list[Prefix]) -> list[tuple[Prefix, Tensor]]:
        """Make some pictures beside others, which leave the device where its memory is full."""
        samples = []
        last: tuple[Record, Value, tuple[Tensor, Letterbox]] | None = None
        for record, seed in orders:
            if last is None or last[0] is not record:
                frame, value = as_seen(record, self._store.frame(record.loop_id, record.frame))
                last = record, value, letterboxed(frame, self._model.size)
            _, value, (image, box) = last
            samples.append(self._maker.make(image, box, value, self._data.task.id, seed))

        def look(part: Indices) -> list[Prefix]:
            with autocast(self._model):
                images = torch.stack([samples[i].image for i in part]).to(self._model.device)
                prefix = self._model.net.prefix(self._model.net.normalise(images))
            seen = split_prefix(prefix)
            return [_moved(one, CPU) for one in seen] if self._halving.full else seen

        prefixes = self._halving.each(np.arange(len(samples)), look, lambda: _leave_device(others))
        return list(zip(prefixes, [sample.target for sample in samples], strict=True))
