"""Token clusters: activations of one site, standardised, divided by exact or sampled DBSCAN, with what speaks against."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from imprint.corpus.clusters.clustering import Clustering
from imprint.corpus.clusters.cores import Cores
from imprint.corpus.clusters.dbscan import dbscan
from imprint.corpus.clusters.epsilon import EpsReport, epsilon_report
from imprint.corpus.clusters.quality import ClusterQuality, cluster_quality
from imprint.corpus.clusters.sampled import sampled_dbscan
from imprint.corpus.clusters.standardise import Standardiser
from imprint.errors import ConfigError, CorpusError
from imprint.runs.files import atomic_file, write_json, writing
from imprint.stats.effects import Effect
from imprint.types import Advance, no_progress

EXACT_LIMIT = 200_000
"""Above this many tokens clusters come from a sample of core points, unless `exact_limit` says otherwise."""
_CORES = "cores.npz"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenClusters:
    """Clusters of tokens, what is needed to place new tokens in them, and the diagnostics that belong beside them."""

    clustering: Clustering
    standardiser: Standardiser
    cores: Cores
    eps_report: EpsReport
    quality: ClusterQuality
    agreement: Effect | None
    """Where the labels come from a sample of core points: how alike those of its two halves are; None for exact labels."""

    def assign(self, states: Float[np.ndarray, "n d"]) -> Int[np.ndarray, "n"]:
        """The cluster of new tokens' raw states (same model and site), -1 for noise: nearest core point within eps."""
        return self.cores.assign(self.standardiser.apply(states))

    def save(self, folder: Path) -> None:
        """Write the clustering, `standardiser.npz`, `cores.npz` and the JSON reports into `folder`."""
        self.clustering.save(folder)
        self.standardiser.save(folder)
        with writing(folder), atomic_file(folder / _CORES) as temporary:
            np.savez(temporary, states=self.cores.states, labels=self.cores.labels, eps=np.float64(self.cores.eps))
        write_json(folder / "epsilon.json", self.eps_report.as_dict())
        agreement = None if self.agreement is None else self.agreement.as_dict()
        write_json(folder / "quality.json", self.quality.as_dict() | {"agreement": agreement})


def load_assigner(folder: Path) -> tuple[Standardiser, Cores]:
    """What `TokenClusters.save` left for placing new tokens: `cores.assign(standardiser.apply(states))`.

    Raises:
        CorpusError: a file is missing or damaged.
    """
    try:
        with np.load(folder / _CORES, allow_pickle=False) as arrays:
            cores = Cores(states=arrays["states"], labels=arrays["labels"], eps=float(arrays["eps"]))
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(f"{folder} does not hold the core points of clusters ({error}); cluster again") from error
    return Standardiser.load(folder), cores


def cluster_tokens(
    states: Float[np.ndarray, "n d"],
    *,
    eps: float | None = None,
    min_samples: int = 10,
    min_cluster_size: int = 0,
    exact_limit: int = EXACT_LIMIT,
    sample: int = 50_000,
    names: Sequence[str] = (),
    seed: int,
    advance: Advance = no_progress,
) -> TokenClusters:
    """Clusters of tokens by DBSCAN on their standardised states, with eps diagnostics and quality beside them.

    `states` are raw activations of one site, for example a memory-mapped float16 array of an `ActivationStore`. Without
    `eps` the suggestion of the diagnostics is taken, in units of standard deviations. Clusters of fewer than
    `min_cluster_size` tokens become noise (0: keep all). Clusters are numbered by their first core point, or named.

    Raises:
        CorpusError: states that are not finite, or no eps was given and none separates (the message says why).
        ConfigError: options out of range.

    Trust: DBSCAN finds what is dense at one scale. Read `eps_report.warning` and `quality.concerns`; most layers of a
    language model have one dense region (frequent tokens) and a sparse rest.
    """
    standardiser = Standardiser.fit(states)
    standard = standardiser.apply(states)
    report = epsilon_report(standard, min_samples=min_samples, given=() if eps is None else (eps,), seed=seed)
    chosen = report.suggested if eps is None else eps
    if chosen is None:
        raise CorpusError(f"{report.warning} (of {len(states)} tokens; give eps to cluster all the same)")
    labels, core, agreement = _labels(standard, chosen, min_samples, exact_limit, sample, seed, advance)
    labels = _without_small(labels, min_cluster_size)
    core = core[labels[core] >= 0]
    return TokenClusters(
        clustering=Clustering(
            unit="token",
            method=f"dbscan, eps {chosen:.4g}, min_samples {min_samples}",
            labels=labels,
            names=_names(names, int(labels.max()) + 1),
        ),
        standardiser=standardiser,
        cores=Cores(states=standard[core], labels=labels[core], eps=chosen),
        eps_report=report,
        quality=cluster_quality(standard, labels, eps=chosen, min_samples=min_samples, seed=seed),
        agreement=agreement,
    )


def _labels(
    standard: Float[np.ndarray, "n d"],
    eps: float,
    min_samples: int,
    exact_limit: int,
    sample: int,
    seed: int,
    advance: Advance,
) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "core"], Effect | None]:
    """Labels, indices of the core points, and the agreement of two halves of the sample where there is one."""
    if len(standard) <= exact_limit:
        exact = dbscan(standard, eps=eps, min_samples=min_samples, advance=advance)
        return exact.labels, np.flatnonzero(exact.core), None
    found = sampled_dbscan(standard, eps=eps, min_samples=min_samples, sample=sample, seed=seed, advance=advance)
    return found.labels, found.sample[found.core], found.agreement


def _without_small(labels: Int[np.ndarray, "n"], smallest: int) -> Int[np.ndarray, "n"]:
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    kept = sizes >= max(smallest, 1)
    numbers = np.where(kept, np.cumsum(kept) - 1, -1)
    return np.asarray(np.where(labels >= 0, numbers[labels], -1))


def _names(names: Sequence[str], clusters: int) -> tuple[str, ...]:
    if names and len(names) != clusters:
        raise ConfigError(f"{len(names)} names were given, but there are {clusters} clusters; give one each or none")
    return tuple(names) or tuple(f"token cluster {number}" for number in range(clusters))
