"""How far a person has agreed with each model, and with what was carried, on a loop. No Qt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from m2dino.correct.trust import agreement, carried_bias, may_replace
from m2dino.values import Value

from napari_m2dino.origins import Origin, origin_of
from napari_m2dino.packed import Packed, PackedPrediction, pack, unpack
from napari_m2dino.session import LoopSession


@dataclass(frozen=True)
class Judgement:
    """A proposal and what a person made of it."""

    proposal: PackedPrediction
    made: Packed


@dataclass
class Trust:
    """What judgements come to.

    Attributes
    ----------
    models : dict of str to float
        Mean agreement by id of the model; no entry where it cannot be told, as with points.
    bias : float
        By how much carried labels have agreed better than expected.
    """

    models: dict[str, float] = field(default_factory=dict)
    bias: float = 0.0

    def learn(self, judged: Iterable[Judgement]) -> None:
        """Work it out anew; may run in another thread than that which reads it, before it is read."""
        scores, carried = defaultdict[str, list[float]](list), []
        for one in judged:
            score = agreement(unpack(one.proposal.packed), unpack(one.made))
            origin = origin_of(one.proposal.model_id)
            if score is not None and origin is Origin.MODEL:
                scores[one.proposal.model_id].append(score)
            elif score is not None and origin is Origin.CARRIED:
                carried.append((one.proposal.confidence, score))
        self.models = {model: sum(each) / len(each) for model, each in scores.items()}
        self.bias = carried_bias(carried)

    def prefers_carried(self, confidence: float, model_id: str) -> bool:
        """Whether what is carried with this confidence should take the place of a proposal of this model."""
        return may_replace(confidence, self.models.get(model_id), self.bias)


def judgements(session: LoopSession, frame: int, value: Value) -> list[Judgement]:
    """Return what a person has made of proposals; on `frame`, whose decision may yet come, that is `value`.

    A rejected frame says that the picture is unusable, and nothing of the proposal.
    """
    made: dict[int, Packed] = {**session.kept_values(), frame: pack(value)}
    found = ((session.packed_proposal(at), what) for at, what in sorted(made.items()))
    return [Judgement(proposal, what) for proposal, what in found if proposal is not None]
