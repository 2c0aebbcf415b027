"""Whether the head's probes look at the right positions: each is asked of a hand-built head that does its job perfectly.

The published code of Mechanistic Data Attribution scores the right token one position too early; nothing else in an
attribution run can notice that, because its gradients are right.
"""

from collections.abc import Sequence

import torch

from imprint.attribution.engine import Query
from imprint.capabilities import RepeatProbe, repeat_probe
from imprint.errors import SelfCheckFailed
from imprint.models import induction_transformer

_LOWEST = {"log_prob": -0.5, "contrastive": 1.0, "attention": 0.9, "previous_token": 0.9}
"""Per position: nats for the first two (-28.7 at the wrong position), attention for the others. Without a BOS a perfect
head falls short of 0 and 1 at one position (METHODS P3)."""
PERIOD = 12
INDUCTION_HEAD, PREVIOUS_TOKEN_HEAD = "L1.H0", "L0.H0"


def reference_probe(*, bos: bool) -> RepeatProbe:
    """The small probe that the hand-built heads are asked about."""
    return repeat_probe(range(1, 30), period=PERIOD, rows=4, seed=0, bos=0 if bos else None)


def check_alignment(queries: Sequence[Query], probe: RepeatProbe) -> dict[str, float]:
    """The value per position of each query of `probe` on the perfect heads.

    Raises:
        SelfCheckFailed: a probe does not see what a perfect head does, so it looks at the wrong positions.
    """
    model = induction_transformer(30, 2 * PERIOD + 1)
    found = {}
    for query in queries:
        positions = probe.tokens.shape[1] - 1 if query.name == "previous_token" else len(probe.query)
        with torch.no_grad():
            found[f"alignment/{query.name}"] = value = float(query.measure(model)) / positions
        if not value >= _LOWEST[query.name]:
            raise SelfCheckFailed(
                f"probe '{query.name}' gives {value:.2f} a position on a head that copies perfectly (at least"
                f" {_LOWEST[query.name]:g} is due): it looks at the wrong positions"
            )
    return found
