"""`Clustering`: which cluster every document or every token belongs to, whoever decided it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int
from pydantic import BaseModel, ConfigDict, ValidationError

from imprint.errors import CorpusError
from imprint.runs.files import atomic_file, read_json, write_json, writing

ClusterUnit = Literal["document", "token"]
"""What a label belongs to."""
Cluster = int | np.integer | str
"""A cluster by its number or by its name."""

NOISE_LABEL = -1
"""The label of what belongs to no cluster; noise is never a cluster."""
_FACTS, _LABELS = "clustering.json", "labels.npy"


@dataclass(frozen=True, kw_only=True, slots=True)
class Clustering:
    """One label for every document or token: clusters are 0 to K-1, and -1 is noise.

    Raises:
        CorpusError: labels below -1 or without a name, a name twice, or ids that are not one per label.
    """

    unit: ClusterUnit
    method: str
    """What made the labels, for people: "domains", "lda, 8 topics, seed 0", ..."""
    labels: Int[np.ndarray, "n"]
    names: tuple[str, ...]
    """One name a cluster; a name is unique."""
    ids: tuple[str, ...] = ()
    """Document ids in the order of the labels; empty for tokens."""

    def __post_init__(self) -> None:
        """Hold the labels as 64-bit integers and refuse what does not fit together."""
        object.__setattr__(self, "labels", np.ascontiguousarray(self.labels, dtype=np.int64))
        low, high = (int(self.labels.min()), int(self.labels.max())) if len(self.labels) else (0, -1)
        if low < NOISE_LABEL or high >= self.num_clusters:
            raise CorpusError(
                f"labels run from {low} to {high}, but with {self.num_clusters} names they must lie between -1 (noise) "
                f"and {self.num_clusters - 1}; give each cluster a name"
            )
        _refuse_twice(self.names, "cluster name")
        _refuse_twice(self.ids, "document id")
        if len(self.ids) != (len(self.labels) if self.unit == "document" else 0):
            wanted = f"{len(self.labels)} ids, one a label" if self.unit == "document" else "no ids"
            raise CorpusError(f"a clustering of {self.unit}s needs {wanted}, but has {len(self.ids)}")

    def __len__(self) -> int:
        """Number of labels, noise included."""
        return len(self.labels)

    @property
    def num_clusters(self) -> int:
        """Number of clusters, K; noise is none."""
        return len(self.names)

    @property
    def sizes(self) -> Int[np.ndarray, "cluster"]:
        """Members of every cluster."""
        return np.bincount(self.labels[self.labels >= 0], minlength=self.num_clusters)

    @property
    def num_noise(self) -> int:
        """How many units belong to no cluster."""
        return int((self.labels == NOISE_LABEL).sum())

    def index(self, cluster: Cluster) -> int:
        """Number of a cluster given by its number or by its name.

        Raises:
            CorpusError: there is no such cluster; the message names those there are.
        """
        if isinstance(cluster, str) and cluster in self.names:
            return self.names.index(cluster)
        if not isinstance(cluster, str) and 0 <= cluster < self.num_clusters:
            return int(cluster)
        some = ", ".join(self.names[:8]) + (", ..." if self.num_clusters > 8 else "")
        raise CorpusError(f"there is no cluster {cluster!r}; the {self.num_clusters} clusters are: {some or 'none'}")

    def share(self, cluster: Cluster) -> float:
        """Part of all units, noise included, that lies in this cluster (0 to 1)."""
        return float(self.sizes[self.index(cluster)] / max(len(self), 1))

    def members(self, cluster: Cluster, *, minimum: int = 1) -> Int[np.ndarray, "member"]:
        """Positions of the members of one cluster, ascending.

        Raises:
            CorpusError: the cluster has fewer members than `minimum`, or there is no such cluster.
        """
        found = np.flatnonzero(self.labels == self.index(cluster))
        if len(found) < minimum:
            raise CorpusError(
                f"cluster '{self.names[self.index(cluster)]}' has {_count(len(found), self.unit)}; "
                f"at least {minimum} are needed: use a larger corpus, or merge or leave out this cluster"
            )
        return found

    def slice_ids(self, cluster: Cluster) -> tuple[str, ...]:
        """Document ids of one cluster in corpus order: what `Corpus.select` and `Corpus.slice` take.

        Raises:
            CorpusError: the clustering is of tokens, or there is no such cluster.
        """
        if self.unit != "document":
            raise CorpusError(f"a clustering of tokens ({self.method}) names no documents; use `members`")
        return tuple(self.ids[position] for position in np.flatnonzero(self.labels == self.index(cluster)))

    def save(self, folder: Path) -> None:
        """Write `labels.npy` and `clustering.json` into `folder` (made if absent).

        Raises:
            OutputError: the place cannot be written.
        """
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / _LABELS) as partial:
            np.save(partial, self.labels, allow_pickle=False)
        facts = _Facts(unit=self.unit, method=self.method, names=self.names, ids=self.ids)
        write_json(folder / _FACTS, facts.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> "Clustering":
        """Read back what `save` wrote.

        Raises:
            CorpusError: a file is missing or damaged.
        """
        try:
            labels = np.load(folder / _LABELS, allow_pickle=False)
            facts = _Facts.model_validate(read_json(folder / _FACTS), strict=False)
        except (OSError, ValueError, EOFError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise CorpusError(f"{folder} does not hold a complete clustering ({reason}); build it again") from error
        return cls(unit=facts.unit, method=facts.method, labels=labels, names=facts.names, ids=facts.ids)


class _Facts(BaseModel):
    """What is written beside the labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: ClusterUnit
    method: str
    names: tuple[str, ...]
    ids: tuple[str, ...]


def from_names(
    labels: Int[np.ndarray, "n"], names: tuple[str, ...], *, unit: ClusterUnit, method: str, ids: tuple[str, ...] = ()
) -> Clustering:
    """A clustering without its empty clusters: the others keep their order and are numbered anew from 0."""
    used = np.bincount(labels[labels >= 0], minlength=len(names)) > 0
    renumbered = np.append(np.where(used, np.cumsum(used) - 1, NOISE_LABEL), NOISE_LABEL)  # the last is noise's
    kept = tuple(name for name, kept in zip(names, used, strict=True) if kept)
    return Clustering(unit=unit, method=method, labels=renumbered[labels], names=kept, ids=ids)


def _refuse_twice(names: tuple[str, ...], what: str) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise CorpusError(f"the {what} {twice[0]!r} occurs twice in a clustering; make each unique")


def _count(number: int, unit: ClusterUnit) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
