"""A loop and a task -> predictions in original pixels, with confidence."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from m2dino.cine.loop import CineLoop, Frame
from m2dino.data.cropping import Crop, Region
from m2dino.data.letterbox import Letterbox
from m2dino.device import choose_device, device_text, has_bfloat16, out_of_memory
from m2dino.errors import FrameDecodeError, MemoryFullError, UntrainedTaskError, UsageError
from m2dino.network.backbone import Prefix
from m2dino.network.card import ModelCard, bundled_checkpoint
from m2dino.network.checkpoint import load_checkpoint
from m2dino.network.config import PRESETS
from m2dino.network.heads import Output, SegmentationOutput
from m2dino.network.model import M2Dino
from m2dino.network.readout import Reading, read_output, split_output
from m2dino.progress import OnProgress, ShouldStop, ignore_progress, never_stop
from m2dino.queueing.insight import Insight, OnInsight, pooled, routing_entropy
from m2dino.tasks import Task
from m2dino.temperature import tempered
from m2dino.values import Prediction

OnBadFrame = Callable[[int, FrameDecodeError], None]
_Looked = tuple[int, Output, SegmentationOutput | None, Insight | None]
"""A frame's index, what the network answers, the ellipse beside it, and what it shows of itself."""
_Seen = TypeVar("_Seen")
_Made = TypeVar("_Made")
PREFIX_CACHE_BYTES = 256 * 2**20


class PrefixCache:
    """The task-free half of the network's work on frames already seen; the oldest go when it is full."""

    def __init__(self, capacity: int = PREFIX_CACHE_BYTES) -> None:
        self._entries: OrderedDict[Hashable, Prefix] = OrderedDict()
        self._capacity, self._size = capacity, 0

    @staticmethod
    def _bytes(prefix: Prefix) -> int:
        return sum(tensor.nbytes for tensor in (prefix.tokens, *prefix.taps, *prefix.detail))

    def get(self, key: Hashable) -> Prefix | None:
        prefix = self._entries.get(key)
        if prefix is not None:
            self._entries.move_to_end(key)
        return prefix

    def put(self, key: Hashable, prefix: Prefix) -> None:
        if key in self._entries:
            return
        self._entries[key] = prefix
        self._size += self._bytes(prefix)
        while self._size > self._capacity and len(self._entries) > 1:
            self._size -= self._bytes(self._entries.popitem(last=False)[1])


def join_prefixes(prefixes: Sequence[Prefix]) -> Prefix:
    """Join prefixes of single pictures into a batch: the inverse of `split_prefix`."""
    return Prefix(
        torch.cat([prefix.tokens for prefix in prefixes]),
        tuple(torch.cat(taps) for taps in zip(*(prefix.taps for prefix in prefixes), strict=True)),
        tuple(torch.cat(maps) for maps in zip(*(prefix.detail for prefix in prefixes), strict=True)),
    )


def split_prefix(prefix: Prefix) -> list[Prefix]:
    """Split a batch of prefixes into one of each picture, each with memory of its own."""

    def one(tensor: Tensor, i: int) -> Tensor:
        return tensor[i : i + 1].clone()

    return [
        Prefix(
            one(prefix.tokens, i),
            tuple(one(tap, i) for tap in prefix.taps),
            tuple(one(part, i) for part in prefix.detail),
        )
        for i in range(prefix.tokens.shape[0])
    ]


class Model:
    """A network ready to predict, with its card. Used by one thread at a time.

    Attributes
    ----------
    card : ModelCard
    id : str
        The checkpoint's id, kept with every prediction.
    path : Path or None
        The file it came from.
    tasks : dict of str to Task
        The tasks that it was trained on.
    device_text : str
        Device and number format, for people.
    """

    def __init__(self, net: M2Dino, card: ModelCard, device: torch.device, path: Path | None = None) -> None:
        self.net = net.eval().to(device)
        self.card, self.path, self.device = card, path, device
        self._cache = PrefixCache()

    @property
    def id(self) -> str:
        return self.card.id

    @property
    def tasks(self) -> dict[str, Task]:
        return {task_id: report.task for task_id, report in self.card.tasks.items()}

    @property
    def device_text(self) -> str:
        return device_text(self.device)

    @property
    def size(self) -> int:
        """Side of the square that frames are letterboxed to, px."""
        return self.net.architecture.image_size

    def task(self, task: str | Task) -> Task:
        """Return the model's own definition of a task.

        Raises
        ------
        UntrainedTaskError
            It was never trained on it.
        """
        task_id = task if isinstance(task, str) else task.id
        if task_id not in self.card.tasks:
            known = ", ".join(sorted(self.card.tasks)) or "no task"
            raise UntrainedTaskError(
                f"The checkpoint {self.id} was never trained on {task_id!r}, so it would answer with noise. It knows "
                f"{known}. Label some frames by hand and fine-tune it, or choose another checkpoint."
            )
        return self.card.tasks[task_id].task

    @torch.inference_mode()
    def outputs(self, images: Tensor, task_id: str, keys: Sequence[Hashable] | None = None) -> list[Output]:
        """Run the network on letterboxed uint8 images (B, 3, S, S); one output an image, on the CPU.

        Parameters
        ----------
        images : Tensor
        task_id : str
        keys : sequence of hashable, optional
            What each image is known by, so that a second task on it costs only the second half of the network.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bfloat16(self.device)):
            prefix = self._prefix(images, keys)
            grid = (images.shape[-2] // 16, images.shape[-1] // 16)
            outputs = split_output(self.net.from_prefix(prefix, grid, task_id))
        report = self.card.tasks.get(task_id)
        return outputs if report is None else [tempered(output, report.temperature) for output in outputs]

    @torch.inference_mode()
    def watched(
        self, images: Tensor, task_id: str, keys: Sequence[Hashable] | None, frames: Sequence[int]
    ) -> tuple[list[Output], list[Insight]]:
        """Do as `outputs`, and tell what the network shows beside its answers; it costs next to nothing."""
        backbone = self.net.backbone
        for block in backbone.mixtures:
            block.moe.keep_gates = True
        try:
            outputs = self.outputs(images, task_id, keys)
            gates = [block.moe.last_gates for block in backbone.mixtures]
        finally:
            for block in backbone.mixtures:
                block.moe.keep_gates, block.moe.last_gates = False, None
        # Found in the cache, for `outputs` has just put them there.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bfloat16(self.device)):
            tokens = self._prefix(images, keys).tokens[:, backbone.num_prefix_tokens :]
        entropies = routing_entropy([gate for gate in gates if gate is not None])
        told = zip(frames, entropies, pooled(tokens), strict=True)
        return outputs, [Insight(frame, entropy, features) for frame, entropy, features in told]

    def ellipses(
        self, images: Tensor, task: Task, keys: Sequence[Hashable] | None = None
    ) -> list[SegmentationOutput] | list[None]:
        """Run the network for the ellipse whose axes end in a task's points; None for each image where there is none.

        Parameters as in `outputs`.
        """
        other = self.card.tasks.get(task.axes_of)
        if other is None or other.task.outline != "ellipse":
            return [None] * len(images)
        return [out for out in self.outputs(images, task.axes_of, keys) if isinstance(out, SegmentationOutput)]

    def _prefix(self, images: Tensor, keys: Sequence[Hashable] | None) -> Prefix:
        if keys is None:
            return self.net.prefix(self.net.normalise(images.to(self.device)))
        known = [self._cache.get(key) for key in keys]
        new = [i for i, prefix in enumerate(known) if prefix is None]
        if new:
            fresh = self.net.prefix(self.net.normalise(images[new].to(self.device)))
            for i, prefix in zip(new, split_prefix(fresh), strict=True):
                known[i] = prefix
                self._cache.put(keys[i], prefix)
        return join_prefixes([prefix for prefix in known if prefix is not None])

    def predict_frames(self, frames: Sequence[Frame], task: str | Task) -> list[Reading]:
        """Predict a task for frames (H, W, 3) uint8 RGB, of equal or different sizes, as one batch.

        In halves where the memory does not hold it.

        Raises
        ------
        MemoryFullError
            It does not even hold one frame.
        """
        known = self.task(task)
        return _halved(lambda part: self._predict_frames(part, known), frames)

    def _predict_frames(self, frames: Sequence[Frame], known: Task) -> list[Reading]:
        boxes = [Letterbox(frame.shape[0], frame.shape[1], self.size) for frame in frames]
        images = torch.stack([box.image_in(frame) for box, frame in zip(boxes, frames, strict=True)])
        outputs, ellipses = self.outputs(images, known.id), self.ellipses(images, known)
        return [
            read_output(output, box, known.outline, ellipse)
            for output, box, ellipse in zip(outputs, boxes, ellipses, strict=True)
        ]


def _halved(make: Callable[[Sequence[_Seen]], list[_Made]], seen: Sequence[_Seen]) -> list[_Made]:
    """Return what `make` makes of what is seen, one of each, in halves where the memory does not hold it together.

    Raises
    ------
    MemoryFullError
        It does not even hold one.
    """
    try:
        return make(seen)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if len(seen) <= 1:
            raise MemoryFullError(
                "There is not enough memory for even one frame at a time; close other programs, or predict on the CPU "
                "(--device cpu)."
            ) from error
    # Outside the handler, which would keep the tensors of the failed batch alive.
    half = len(seen) // 2
    return [*_halved(make, seen[:half]), *_halved(make, seen[half:])]


def load_model(name_or_path: str | Path = "tiny", device: str = "auto") -> Model:
    """Load a checkpoint.

    Parameters
    ----------
    name_or_path : str or Path
        A preset whose checkpoint is bundled ("tiny"), or the path of a checkpoint file.
    device : str
        auto, cpu, cuda, cuda:N or mps.

    Raises
    ------
    NotACheckpointError
        The file is not a checkpoint, or cut short.
    UsageError
        No checkpoint is bundled for that preset.
    DeviceError
        The device is not there.
    """
    chosen = choose_device(device)
    path = bundled_checkpoint(str(name_or_path)) if str(name_or_path) in PRESETS else Path(name_or_path)
    net, card = load_checkpoint(path)
    return Model(net, card, chosen, path)


def predict(
    loop: CineLoop,
    task: str | Task,
    model: Model | None = None,
    *,
    frames: Iterable[int] | None = None,
    region: Region | None = None,
    batch_size: int = 4,
    on_progress: OnProgress = ignore_progress,
    should_stop: ShouldStop = never_stop,
    on_bad_frame: OnBadFrame | None = None,
    on_insight: OnInsight | None = None,
) -> Iterator[Prediction]:
    """Predict a task on the frames of a loop, in the order asked for.

    Decoding and resizing of the next frames, and the enlarging of the last results, overlap the network.

    Parameters
    ----------
    loop : CineLoop
    task : str or Task
    model : Model, optional
        The bundled tiny model by default.
    frames : iterable of int, optional
        Indices of frames; all by default.
    region : tuple of int, optional
        (y_min, x_min, y_max, x_max), original-frame pixels, end exclusive: the part of every frame that the network
        sees, such as `loop.tissue_region`; the whole frame by default. Values are in pixels of the whole frame.
    batch_size : int
        Frames a step of the network.
    on_progress : callable
        `(done, total, text)` after every step.
    should_stop : callable
        Asked before every step.
    on_bad_frame : callable, optional
        `(frame, error)` for a frame that cannot be decoded, which is then left out; without it the error is raised.
    on_insight : callable, optional
        Told of every frame, before its prediction, how divided the experts are and what it looks like.

    Yields
    ------
    Prediction
        Values in original-frame pixels.

    Raises
    ------
    UntrainedTaskError
        The model was never trained on the task.
    UsageError
        A frame lies outside the loop, or the region outside the frame.
    MemoryFullError
        The memory does not even hold one frame.
    FrameDecodeError
        A frame is damaged, and `on_bad_frame` is not given.
    """
    model = model if model is not None else load_model()
    task_id = model.task(task).id
    wanted = list(range(len(loop))) if frames is None else [int(index) for index in frames]
    for index in wanted:
        if not 0 <= index < len(loop):
            raise UsageError(f"There is no frame {index}: the loop has {len(loop)} frames, 0 to {len(loop) - 1}.")
    crop = None if region is None else Crop(loop.height, loop.width, region)
    size = max(1, batch_size)
    return _predict(loop, task_id, model, wanted, crop, size, on_progress, should_stop, on_bad_frame, on_insight)


def _predict(
    loop: CineLoop,
    task_id: str,
    model: Model,
    wanted: list[int],
    crop: Crop | None,
    batch_size: int,
    on_progress: OnProgress,
    should_stop: ShouldStop,
    on_bad_frame: OnBadFrame | None,
    on_insight: OnInsight | None,
) -> Iterator[Prediction]:
    height, width = (loop.height, loop.width) if crop is None else crop.size
    box, task = Letterbox(height, width, model.size), model.task(task_id)

    def prepare(indices: list[int]) -> tuple[list[int], list[Tensor], list[tuple[int, FrameDecodeError]]]:
        good: list[int] = []
        images: list[Tensor] = []
        bad: list[tuple[int, FrameDecodeError]] = []
        for index in indices:
            try:
                frame = loop[index] if crop is None else crop.frame_in(loop[index])
                images.append(box.image_in(frame))
                good.append(index)
            except FrameDecodeError as error:
                bad.append((index, error))
        return good, images, bad

    def look(seen: Sequence[tuple[int, Tensor]]) -> list[_Looked]:
        indices, batch = [index for index, _ in seen], torch.stack([image for _, image in seen])
        keys = [(loop.identity, index, crop and crop.region) for index in indices]
        insights: Sequence[Insight | None] = [None] * len(indices)
        if on_insight is None:
            outputs = model.outputs(batch, task_id, keys)
        else:
            outputs, insights = model.watched(batch, task_id, keys, indices)
        ellipses: Sequence[SegmentationOutput | None] = model.ellipses(batch, task, keys)
        return list(zip(indices, outputs, ellipses, insights, strict=True))

    def finish(looked: Sequence[_Looked]) -> list[Prediction]:
        found = []
        for index, output, ellipse, _ in looked:
            reading = read_output(output, box, task.outline, ellipse)
            value = reading.value if crop is None else crop.value_out(reading.value)
            found.append(Prediction(index, task_id, value, reading.confidence, model.id))
        return found

    groups = [wanted[i : i + batch_size] for i in range(0, len(wanted), batch_size)]
    start, done = time.monotonic(), 0
    with ThreadPoolExecutor(1, "m2dino-decode") as decoder, ThreadPoolExecutor(1, "m2dino-readout") as reader:
        ahead = deque(decoder.submit(prepare, group) for group in groups[:2])
        behind: deque[Future[list[Prediction]]] = deque()
        try:
            for number, group in enumerate(groups):
                if should_stop():
                    break
                good, images, bad = ahead.popleft().result()
                for index, error in bad:
                    if on_bad_frame is None:
                        raise error
                    on_bad_frame(index, error)
                if number + 2 < len(groups):
                    ahead.append(decoder.submit(prepare, groups[number + 2]))
                if good:
                    looked = _halved(look, list(zip(good, images, strict=True)))
                    for _, _, _, insight in looked:
                        if on_insight is not None and insight is not None:
                            on_insight(insight)
                    behind.append(reader.submit(finish, looked))
                done += len(group)
                left = (time.monotonic() - start) / done * (len(wanted) - done)
                # One step may stay behind, so that its enlarging overlaps the next step of the network.
                while len(behind) > 1 or (behind and (behind[0].done() or number + 1 == len(groups))):
                    yield from behind.popleft().result()
                on_progress(done, len(wanted), f"{done} / {len(wanted)} · {left:.0f} s left")
            while behind:
                yield from behind.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
