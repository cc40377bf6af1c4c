"""The isolated form of fine-tuning: only what the task owns learns, so no other task's own answer can change.

Its embedding, its head, a decoder of its own and an expert of its own in every mixture are trained. All else is frozen:
the task-free half of the network is run once per picture and kept, and every other task's output stays the same to the
last bit.

First the head and the decoder learn, from what the frozen encoder says of each picture, which is kept, too: a step
costs a fraction of the network. Then the experts and the embedding join them. In that order a few frames distort the
features less (Kumar et al., arXiv 2202.10054).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.optim import AdamW

from m2dino.data.store import Store
from m2dino.errors import TrainingError
from m2dino.network.card import HEADLINE
from m2dino.predictor import Model
from m2dino.progress import ShouldStop
from m2dino.scoring.task_scores import TaskScores
from m2dino.training.corrections import Corrections
from m2dino.training.finetune_common import (
    FinetuneProgress,
    FinetuneSettings,
    OnFinetuneProgress,
    goodness,
    headline,
    running_mean,
    score_heldout,
)
from m2dino.training.finetune_settings import PATHS, PROBE_SHARE
from m2dino.training.halving import Halving, Indices
from m2dino.training.losses import loss_of
from m2dino.training.parameters import schedule
from m2dino.training.pictures import STOPPED, Pictures, Round, autocast
from m2dino.training.speed import Stopwatch

LR_NEW = 2e-3
LR_KNOWN = 5e-4
"""Peak rates of a task that starts from nothing, and of one that the base knows: there is something to lose."""
EXPERT_FACTOR = 4.0
"""Of the rate, for the private experts: they start at zero, and behind the block's layer scale."""
WARMUP = 0.1


@dataclass
class Learnt:
    """The best weights of a run, what they score on the held-out frames, and how it ended."""

    weights: list[Tensor]
    scores: TaskScores | None
    steps: int
    stopped: bool = False
    batch: int = 0


def learn_isolated(
    model: Model,
    store: Store,
    data: Corrections,
    settings: FinetuneSettings,
    known: bool,
    watch: Stopwatch,
    on_progress: OnFinetuneProgress,
    should_stop: ShouldStop,
) -> Learnt:
    """Train what the task owns, in place; on return the network holds its best state on the held-out frames.

    Raises
    ------
    TrainingError
        Stopped before the first check, the loss was not a number, or not even one picture fits into the memory.
    """
    own_what(model, data.task.id)
    on_progress(
        FinetuneProgress(0, settings.steps_for(len(data.train), "isolated", known), "looking at the corrected frames")
    )
    return _Run(model, store, data, settings, known, watch, on_progress, should_stop).run()


def own_what(model: Model, task_id: str) -> None:
    """Give a task all that it may own; no output changes."""
    net = model.net
    if not net.has_private_experts(task_id):
        net.add_private_experts(task_id)
    if net.tasks[task_id].type != "classification" and not net.has_own_decoder(task_id):
        net.add_own_decoder(task_id)
    net.to(model.device)


class _Run:
    """The state of a fine-tune in memory."""

    def __init__(
        self,
        model: Model,
        store: Store,
        data: Corrections,
        settings: FinetuneSettings,
        known: bool,
        watch: Stopwatch,
        on_progress: OnFinetuneProgress,
        should_stop: ShouldStop,
    ) -> None:
        self.model, self.net, self.store, self.data, self.settings = model, model.net, store, data, settings
        self.known, self.on_progress, self.should_stop = known, on_progress, should_stop
        self.task_id = data.task.id
        self.steps = settings.steps_for(len(data.train), "isolated", known)
        self.lr = settings.lr or (LR_KNOWN if known else LR_NEW)
        self.net.requires_grad_(False)
        self.own = list(self.net.own_parameters(self.task_id))
        self.answering = list(self.net.answer_parameters(self.task_id))
        self.start = [parameter.detach().clone() for parameter in self.own]
        self.average = [parameter.detach().clone() for parameter in self.own]
        self.optimizer = self._optimizer()
        self.rng = np.random.default_rng(settings.seed)
        self.halving = Halving(settings.batch)
        self.watch = watch
        self.best, self.best_score = Learnt([], None, 0), -np.inf
        self.loss: float | None = None
        self.step = 0
        self.began = 0.0

    def _optimizer(self) -> AdamW:
        answering = {id(parameter) for parameter in self.answering}
        groups = []
        for factor, mine in ((1.0, True), (EXPERT_FACTOR, False)):
            for decay in (True, False):
                chosen = [p for p in self.own if (id(p) in answering) is mine and (p.ndim > 1) is decay]
                groups.append({"params": chosen, "factor": factor, "weight_decay": 0.01 if decay else 0.0})
        return AdamW([group for group in groups if group["params"]], lr=self.lr)

    def run(self) -> Learnt:
        rounds = Pictures(self.model, self.store, self.data, self.settings, self.watch).rounds(self.should_stop)
        self.net.heads[self.net.key(self.task_id)].train()
        stopped = False
        for number, one in enumerate(rounds):
            self.began = self.began or time.monotonic()
            end = round(self.steps * (number + 1) / one.of)
            probe = self.step + round(PROBE_SHARE * (end - self.step))
            stopped = self._learn(one, probe, probing=True) or self._learn(one, end, probing=False)
            if stopped:
                break
        if not self.best.weights:
            raise TrainingError(STOPPED)
        # Where the held-out frames tell no state from another, shorter is not better, but less learnt.
        if self.known and not stopped and np.isfinite(self.best_score):
            self._shorter()
        self._put(self.best.weights)
        self.net.heads[self.net.key(self.task_id)].eval()
        self.best.stopped, self.best.batch = stopped, self.halving.size
        return self.best

    def _learn(self, pictures: Round, last: int, *, probing: bool) -> bool:
        """Learn until a step; return whether it was stopped."""
        learning = {id(parameter) for parameter in (self.answering if probing else self.own)}
        for parameter in self.own:
            parameter.requires_grad_(id(parameter) in learning)
        if probing:
            with self.watch.timing("encode", len(pictures)):
                pictures.encode_all(self.should_stop)
        check_every = max(1, self.steps // self.settings.checks)
        while self.step < last:
            if self.should_stop():
                return True
            chosen = self.rng.choice(
                len(pictures), size=self.settings.batch, replace=len(pictures) < self.settings.batch
            )
            self.step += 1
            with self.watch.timing("head_step" if probing else "step", len(chosen)):
                self._step(pictures, chosen, probing)
            metric = self._check() if self.step % check_every == 0 or self.step == self.steps else None
            left = (time.monotonic() - self.began) / self.step * (self.steps - self.step)
            text = f"step {self.step} / {self.steps} · loss {self.loss:.3f} · {left:.0f} s left"
            self.on_progress(FinetuneProgress(self.step, self.steps, text, self.loss, metric, left))
        return False

    def _step(self, pictures: Round, chosen: Indices, probing: bool) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * group["factor"] * schedule(self.step / self.steps, WARMUP)

        def backward(part: Indices) -> float:
            with autocast(self.model):
                encoded = (
                    pictures.encoded(part)
                    if probing
                    else self.net.encode(pictures.prefix(part), pictures.grid, self.task_id)
                )
                output = self.net.answer(encoded, pictures.grid, self.task_id)
            loss = loss_of(output, pictures.targets(part)) * (len(part) / len(chosen))
            loss.backward()
            return float(loss.detach())

        def forget() -> None:
            self.optimizer.zero_grad(set_to_none=True)
            pictures.leave_device()

        value = self.halving.run(chosen, backward, forget)
        if not np.isfinite(value):
            raise TrainingError("The loss was not a number; no new checkpoint was made. Check the corrected frames.")
        torch.nn.utils.clip_grad_norm_(self.own, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        decay = min(self.settings.ema, self.step / (self.step + 5))
        for mean, parameter in zip(self.average, self.own, strict=True):
            mean.lerp_(parameter.detach(), 1 - decay)
        self.loss = running_mean(self.loss, value)

    def _check(self) -> tuple[str, float] | None:
        """Score the moving average on the held-out frames; the weights under training are put back."""
        kept = [parameter.detach().clone() for parameter in self.own]
        scores = self._score(self.average)
        self._put(kept)
        if scores is None:
            return None
        metric = headline(scores)
        return None if metric is None else (HEADLINE[self.data.task.type], metric.value)

    def _score(self, weights: list[Tensor]) -> TaskScores | None:
        """Score weights, which then are in the network, and keep them if none were better."""
        self._put(weights)
        head = self.net.heads[self.net.key(self.task_id)].eval()
        with self.watch.timing("score", len(self.data.heldout)):
            scores = score_heldout(self.model, self.store, self.data, self.should_stop)
        head.train()
        score = goodness(scores)
        # Broken off: it says nothing, but is worth keeping where there is nothing else.
        if not self.best.weights or (scores is not None and score >= self.best_score):
            self.best = Learnt([weight.clone() for weight in weights], scores, self.step)
            self.best_score = score
        return scores

    def _shorter(self) -> None:
        """Try whether stopping short on the way from the base does better (Wortsman et al., arXiv 2109.01903).

        What a few frames of one recording teach is partly that recording's own.
        """
        whole, steps = self.best.weights, self.best.steps
        for path in PATHS:
            if self.should_stop():
                return
            self._score([torch.lerp(a, b, path) for a, b in zip(self.start, whole, strict=True)])
        self.best = replace(self.best, steps=steps)

    @torch.no_grad()
    def _put(self, weights: list[Tensor]) -> None:
        for parameter, value in zip(self.own, weights, strict=True):
            parameter.copy_(value)
