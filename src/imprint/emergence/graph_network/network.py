"""The graph network: messages from evidence to questions along edges, and a probability that the ability emerges."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from imprint.emergence.graph_network.run_graph import Edges, RunGraph
from imprint.errors import ConfigError

FARTHEST = 4.0
"""Standard deviations beyond which a feature counts as that far and no farther."""
AGGREGATIONS = ("mean", "min", "max")


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSettings:
    """Size and training of the network."""

    width: int = 16
    epochs: int = 150
    learning_rate: float = 0.02
    weight_decay: float = 1e-2
    inits: int = 2
    """Networks from different starts whose probabilities are averaged."""


class EmergenceNetwork(nn.Module):
    """One round of messages from evidence to questions.

    What is seen is embedded, joined over a question's edges by mean, minimum and maximum, and read together with the question's
    own features. A question without edges gets zeros and is told so.
    """

    def __init__(self, join: nn.Module, *, seen: int, own: int, width: int) -> None:
        """Parameters from torch's generator; `join` is torch-geometric's message passing without weights."""
        super().__init__()
        self.join = join
        self.embed = nn.Sequential(nn.Linear(seen, width), nn.ReLU(), nn.Linear(width, width))
        self.read = nn.Sequential(nn.Linear(own + len(AGGREGATIONS) * width + 1, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(
        self, evidence: Float[Tensor, "evidence seen"], own: Float[Tensor, "question own"], edges: Int[Tensor, "2 edge"]
    ) -> Float[Tensor, "question"]:
        """Logits."""
        heard = self.join((self.embed(evidence), own), edges)
        any_edge = torch.zeros(len(own), 1).index_fill_(0, edges[1], 1.0)
        logits: Tensor = self.read(torch.cat([own, heard, any_edge], dim=1)).squeeze(1)
        return logits


Answer = Callable[[RunGraph, Edges], Float[np.ndarray, "question"]]


def fit_network(known: RunGraph, edges: Edges, *, settings: NetworkSettings | None = None, seed: int = 0) -> Answer:
    """A function from questions and their edges to probabilities, learned from answered questions.

    Deterministic on CPU; torch's global generator is left as it was.

    Raises:
        ConfigError: torch-geometric is not installed.

    Trust: it learns what is common to all edges, never what a particular node is; a kinship that names the wrong kin misleads it.
    """
    settings = settings or NetworkSettings()
    scale_seen, scale_own = _scaler(known.evidence), _scaler(known.questions)
    batch = (_tensor(scale_seen(known.evidence)), _tensor(scale_own(known.questions)), torch.as_tensor(edges))
    answers = _tensor(known.emerged)
    with torch.random.fork_rng(devices=[]):
        fitted = [_fitted(batch, answers, settings, seed * 1000 + number) for number in range(settings.inits)]

    def answer(asked: RunGraph, asked_edges: Edges) -> Float[np.ndarray, "question"]:
        seen, own = _tensor(scale_seen(asked.evidence)), _tensor(scale_own(asked.questions))
        with torch.no_grad():
            said = [torch.sigmoid(model(seen, own, torch.as_tensor(asked_edges))) for model in fitted]
        return torch.stack(said).mean(0).numpy().astype(float)

    return answer


def _fitted(batch: tuple[Tensor, Tensor, Tensor], answers: Tensor, settings: NetworkSettings, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = EmergenceNetwork(_join(), seen=batch[0].shape[1], own=batch[1].shape[1], width=settings.width)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    for _ in range(settings.epochs):
        optimiser.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(*batch), answers)
        torch.autograd.backward(loss)
        optimiser.step()
    return model


def _join() -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch-geometric scripts itself when it is imported
            from torch_geometric.nn import SimpleConv
    except ImportError as error:
        raise ConfigError(
            f"the graph network needs the optional extra 'graph' ({error.name} is not installed): pip install 'imprint[graph]'"
        ) from error
    joined: nn.Module = SimpleConv(aggr=list(AGGREGATIONS))
    return joined


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def _scaler(rows: Float[np.ndarray, "row feature"]) -> Callable[[np.ndarray], Float[np.ndarray, "new feature"]]:
    """Fill what is not known with the median, standardise and clip, as these rows have it."""
    known = np.isfinite(rows).any(0) if len(rows) else np.zeros(rows.shape[1], dtype=bool)
    middle = np.zeros(rows.shape[1])
    middle[known] = np.nanmedian(rows[:, known], 0)

    def filled(new: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(new), middle, new)

    mean, spread = filled(rows).mean(0), filled(rows).std(0)
    return lambda new: np.clip((filled(new) - mean) / np.where(spread > 0, spread, 1.0), -FARTHEST, FARTHEST)
