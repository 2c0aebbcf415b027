"""The scalars of one checkpoint: what of its representation is set against the outcomes."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from imprint.mechanisms.checkpoints.contrast_vectors import contrast_vector
from imprint.mechanisms.checkpoints.measurement import CheckpointMeasurement
from imprint.mechanisms.checkpoints.projections import cosines, projections
from imprint.mechanisms.checkpoints.separability import separability
from imprint.stats import Undefined


def checkpoint_scalars(
    own: CheckpointMeasurement, reference: CheckpointMeasurement, *, whiten: bool = False, seed: int = 0
) -> dict[str, float]:
    """Named numbers of a checkpoint, its axes and centres taken from `reference` (which may be itself).

    `entropy` and `loss` (also by prompt set); for every contrast and site `projection` and `cosine` of the fixed prompts
    on the reference's axis, less the reference's mean; of the checkpoint's own axis its `length`, its cosine with the
    reference's axis (`axis_cosine`), its `stability`; `auc` and `d_prime` of the poles. A d' without a unit is left out.

    Trust: projections and axis cosines mean something only between checkpoints that were trained from one model;
    every one of these scalars counts in the correction for many (`Panel.against`).
    """
    named = dict(_outputs(own))
    for (contrast, site), poles in own.poles.items():
        axis = contrast_vector(*reference.poles[contrast, site], whiten=whiten, seed=seed)
        mine = contrast_vector(*poles, whiten=whiten, seed=seed)
        centre = reference.prompts.states[site].mean(0)
        apart = separability(*poles, whiten=whiten, folds=min(5, len(poles[0])), draws=1, seed=seed)
        values: dict[str, float | Undefined] = {
            "projection": float(projections(own.prompts.states[site], axis.direction, centre=centre).mean()),
            "cosine": float(cosines(own.prompts.states[site], axis.direction, centre=centre).mean()),
            "length": mine.length,
            "axis_cosine": float(mine.direction @ axis.direction),
            "stability": mine.stability,
            "auc": apart.auc.estimate,
            "d_prime": apart.d_prime,
        }
        named |= {
            f"{contrast}/{site}/{name}": value for name, value in values.items() if not isinstance(value, Undefined)
        }
    return named


def _outputs(own: CheckpointMeasurement) -> Iterator[tuple[str, float]]:
    values: Mapping[str, np.ndarray] = {"entropy": own.prompts.entropy, "loss": own.prompts.loss}
    sets: Sequence[str] = list(dict.fromkeys(own.sets))
    member = np.array(own.sets)
    for name, column in values.items():
        yield name, float(column.mean())
        if len(sets) > 1:
            yield from ((f"{name}/{one}", float(column[member == one].mean())) for one in sets)
