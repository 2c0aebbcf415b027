"""What belongs to each cluster at one site of the model: dimensions R_k, a direction v_k, an eraser, a probe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from safetensors.numpy import load_file, save_file

from imprint.corpus import Packed
from imprint.interventions.activations import site_rms
from imprint.mechanisms import (
    Association,
    PrincipalDirections,
    Selectivity,
    associate,
    associated_dims,
    document_means,
    leace,
    principal_directions,
    probe_direction,
    selectivity,
)
from imprint.models import ImportedModel, open_imported
from imprint.runs import Context, Step, read_json, write_json
from imprint.stats import auc, auc_effect
from imprint.studies.perturbation.config import Direction
from imprint.studies.perturbation.passages import ClusterPassages, rows_of
from imprint.studies.perturbation.recorded import Recorded, record_rows

PROBED_TOKENS = 3_000
REFERENCE_TOKENS = 5_000
STRONGEST = 8
RANDOM_SETS = 19
FEWEST_DOCUMENTS = 2
"""Source documents that a cluster must have in the half that its representation is found on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """The representation of every cluster at one site, found on the fitting half of the passages."""

    site: str
    clusters: tuple[str, ...]
    rms: float
    """Root mean square of one entry of the states, the median over tokens (`site_rms`)."""
    dims: tuple[Int[np.ndarray, "_"], ...]
    """R_k of every cluster, strongest first; empty if no dimension is significantly associated."""
    mean: Float[np.ndarray, "width"]
    """Over all tokens."""
    covariance: Float[np.ndarray, "width width"]
    """Over all tokens."""
    reference: Float[np.ndarray, "token width"]
    """Some tokens: what matched controls are matched on, and clusters compared with tasks."""
    reference_cluster: Int[np.ndarray, "token"]
    reference_document: Int[np.ndarray, "token"]
    means: Float[np.ndarray, "cluster width"]
    directions: Float[np.ndarray, "cluster width"]
    """Unit vectors v_k, turned towards the cluster."""
    erase_read: Float[np.ndarray, "cluster width"]
    """LEACE of each cluster against the rest: h - write (read · (h - mean))."""
    erase_write: Float[np.ndarray, "cluster width"]
    summary: dict[str, Any]

    def index(self, cluster: str) -> int:
        """The number of a cluster."""
        return self.clusters.index(cluster)

    def typicality(self, states: Float[np.ndarray, "token width"]) -> Float[np.ndarray, "token cluster"]:
        """How typical each token is of each cluster: its log-odds against the likeliest other one (linear discriminant).

        Trust: Gaussian clusters of one shared spread are assumed; only the order of tokens is used.
        """
        spread = self.covariance + 1e-3 * np.trace(self.covariance) / len(self.mean) * np.eye(len(self.mean))
        weights = np.linalg.solve(spread, self.means.T)
        scores = states @ weights - (self.means.T * weights).sum(0) / 2
        others = np.stack([np.delete(scores, number, axis=1).max(1) for number in range(len(self.clusters))], axis=1)
        return np.asarray(scores - others)

    @staticmethod
    def load(folder: Path) -> "Space":
        """Read back what `ClusterSpace` wrote."""
        facts, arrays = read_json(folder / "space.json"), load_file(folder / "space.safetensors")
        dims = tuple(arrays.pop(f"dims.{number}") for number in range(len(facts["clusters"])))
        return Space(
            site=facts["site"],
            clusters=tuple(facts["clusters"]),
            rms=facts["rms"],
            dims=dims,
            summary=facts["summary"],
            **arrays,
        )


class ClusterSpace(Step):
    """The space of all clusters at one site: `space.safetensors` and `space.json`."""

    passages: ClusterPassages
    model: ImportedModel
    site: str
    dimensions: int = Field(ge=1)
    rank: int = Field(ge=1)
    direction: Direction = "difference"
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Record the site on the fitting half and work out what belongs to whom."""
        torch.set_num_threads(1)
        packed = Packed.load(context.get(self.passages))
        model, _ = open_imported(context.get(self.model), self.model.dtype)
        clusters = tuple(dict.fromkeys(packed.domains))
        recorded = record_rows(model, self.site, packed, rows_of(packed, "fit", self.passages.seed), clusters)
        held_out = record_rows(model, self.site, packed, rows_of(packed, "check", self.passages.seed), clusters)
        found = _associate(recorded, clusters)
        chosen = [associated_dims(found, number, top=self.dimensions) for number in range(len(clusters))]
        for name, dims in zip(clusters, chosen, strict=True):
            if len(dims) == 0:
                context.warn(f"no dimension of {self.site} is significantly associated with cluster '{name}'")
        parts = _Parts.of(recorded, len(clusters), self.rank, self.seed)
        arrays = _reference(recorded, self.seed) | parts.arrays(self.direction)
        arrays |= {f"dims.{number}": dims for number, dims in enumerate(chosen)}
        save_file({name: np.ascontiguousarray(value) for name, value in arrays.items()}, folder / "space.safetensors")
        facts = {"site": self.site, "clusters": clusters, "rms": site_rms(torch.from_numpy(recorded.states))}
        read = [reading(recorded, held_out, found, number, dims, seed=self.seed) for number, dims in enumerate(chosen)]
        summary = [_summary(number, recorded, found, dims, parts) | read[number] for number, dims in enumerate(chosen)]
        write_json(folder / "space.json", facts | {"summary": dict(zip(clusters, summary, strict=True))})


def _reference(recorded: Recorded, seed: int) -> dict[str, np.ndarray]:
    """A random sample of the tokens, with what they belong to."""
    drawn = np.random.default_rng(seed).permutation(len(recorded.states))[:REFERENCE_TOKENS]
    return {
        "reference": recorded.states[drawn],
        "reference_cluster": recorded.cluster[drawn],
        "reference_document": recorded.document[drawn],
    }


def _associate(recorded: Recorded, clusters: tuple[str, ...]) -> Association:
    averaged = document_means(recorded.states, recorded.document, recorded.cluster)
    return associate(averaged.means, averaged.labels, names=clusters, minimum=FEWEST_DOCUMENTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    """Means, spread, directions, erasers and probe of all clusters."""

    mean: np.ndarray
    covariance: np.ndarray
    means: np.ndarray
    differences: np.ndarray
    principal: list[PrincipalDirections]
    erasers: list[tuple[np.ndarray, np.ndarray]]
    probed: Selectivity

    @staticmethod
    def of(recorded: Recorded, clusters: int, rank: int, seed: int) -> "_Parts":
        """Everything that is fitted to the recorded states."""
        states = recorded.states.astype(np.float64)
        means = np.stack([states[recorded.cluster == number].mean(0) for number in range(clusters)])
        rest = np.stack([states[recorded.cluster != number].mean(0) for number in range(clusters)])
        principal = [
            principal_directions(
                states,
                components=rank,
                rows=np.flatnonzero(recorded.cluster == number),
                toward=means[number] - rest[number],
            )
            for number in range(clusters)
        ]
        erasers = [leace(states, recorded.cluster, cluster=number) for number in range(clusters)]
        return _Parts(
            mean=states.mean(0),
            covariance=np.cov(states, rowvar=False),
            means=means,
            differences=means - rest,
            principal=principal,
            erasers=[(one.read[0], one.write[:, 0]) for one in erasers],
            probed=_probe(recorded, seed),
        )

    def arrays(self, direction: Direction) -> dict[str, np.ndarray]:
        """What `Space` holds, by name."""
        return {
            "mean": self.mean,
            "covariance": self.covariance,
            "means": self.means,
            "directions": self._directions(direction),
            "erase_read": np.stack([read for read, _ in self.erasers]),
            "erase_write": np.stack([write for _, write in self.erasers]),
        }

    def _directions(self, direction: Direction) -> np.ndarray:
        if direction == "svd":
            return np.stack([one.directions[0] for one in self.principal])
        if direction == "probe":
            return np.stack([probe_direction(self.probed.task, number) for number in range(len(self.means))])
        return np.asarray(self.differences / np.linalg.norm(self.differences, axis=1, keepdims=True))


def _probe(recorded: Recorded, seed: int) -> Selectivity:
    """The probe on at most `PROBED_TOKENS` tokens, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(recorded.states))[:PROBED_TOKENS]
    return selectivity(
        recorded.states[order].astype(np.float64),
        recorded.cluster[order],
        recorded.document[order],
        recorded.token_id[order],
        folds=2,
        seed=seed,
    )


def reading(
    recorded: Recorded, held_out: Recorded, found: Association, cluster: int, dims: Int[np.ndarray, "_"], *, seed: int
) -> dict[str, Any]:
    """How well R_k tells documents it was not found on (AUC), and how well sets of as many random dimensions do.

    A document's score is the sum of its standardised dimensions, each with the sign of its association.
    """
    fitted = document_means(recorded.states, recorded.document, recorded.cluster).means
    unseen = document_means(held_out.states, held_out.document, held_out.cluster)
    scaled = (unseen.means - fitted.mean(0)) / np.maximum(fitted.std(0), 1e-12) * np.sign(found.cohen_d[:, cluster])
    inside = unseen.labels == cluster
    if len(dims) == 0:
        return {"auc": _auc(scaled.mean(1) * 0.0, inside, seed), "random_auc": []}
    rng = np.random.default_rng([seed, cluster])
    random = [scaled[:, rng.permutation(scaled.shape[1])[: len(dims)]].sum(1) for _ in range(RANDOM_SETS)]
    return {
        "auc": _auc(scaled[:, dims].sum(1), inside, seed),
        "random_auc": [auc(scores, inside) for scores in random],
    }


def _auc(scores: Float[np.ndarray, "doc"], inside: Bool[np.ndarray, "doc"], seed: int) -> dict[str, Any]:
    return auc_effect(scores, inside, seed=seed, unit="document", metric="AUC on unseen documents").as_dict()


def _summary(number: int, recorded: Recorded, found: Association, dims: np.ndarray, parts: _Parts) -> dict[str, Any]:
    """What the report says of one cluster's representation."""
    return {
        "tokens": int((recorded.cluster == number).sum()),
        "dimensions": len(dims),
        "strongest": [[int(dim), float(found.cohen_d[dim, number])] for dim in dims[:STRONGEST]],
        "explained": float(parts.principal[number].explained.sum()),
        "probe": parts.probed.task.accuracy.as_dict(),
        "selectivity": parts.probed.selectivity.as_dict(),
    }
