"""Linear probes: what a linear reader finds about clusters, less what it would find about labels without meaning."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from imprint.errors import CorpusError
from imprint.stats import Effect, bootstrap_mean, paired_difference

UNCONVERGED = "the probe's fit did not converge, so its weights are not final"
_DRAWS = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A multinomial logistic probe: held-out accuracy, and the weights of a fit to all rows."""

    accuracy: Effect
    """Share of right predictions on held-out documents, over documents; the control is the majority class."""
    document_hits: Float[np.ndarray, "doc"]
    """Share of right held-out predictions of each document, in order of document id."""
    majority: float
    """Share of the largest class: what a probe that knows nothing scores."""
    weights: Float[np.ndarray, "cluster d"]
    """On standardised dimensions, summing to zero over clusters; large = the dimension matters."""
    classes: Int[np.ndarray, "cluster"]
    """The cluster of each row of `weights`."""
    scale: Float[np.ndarray, "d"]
    """Standard deviation of each dimension (1 where it never varies)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selectivity:
    """Accuracy on the clusters, on the control task, and their difference over the same documents."""

    task: Probe
    control: Probe
    selectivity: Effect
    """Accuracy minus control accuracy: near 0 = the probe memorises token types, whatever its accuracy."""


def probe(
    states: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, "n"],
    documents: Int[np.ndarray, "n"],
    *,
    folds: int = 5,
    penalty: float = 1.0,
    seed: int = 0,
    max_iterations: int = 1000,
) -> Probe:
    """Fit a logistic probe for the cluster on standardised dimensions and score it on documents it has not seen.

    Folds are grouped by document and balanced by class; standardisation uses training rows only. Rows with label -1
    (noise) are left out. `penalty` is the weight of the squared norm against the summed loss (scikit-learn's 1 / C).

    Raises:
        CorpusError: fewer than two classes, or a class that touches fewer documents than there are folds.

    Trust: high accuracy means that a linear reader can find the cluster, not that the model uses it; with many
    dimensions it can memorise anything, so read `selectivity`. Rows must fit into memory in double precision.
    """
    real = labels >= 0
    labels, documents = labels[real], documents[real]
    _check_classes(labels, documents, folds)
    rows = np.asarray(states[real], dtype=np.float64)
    hits, converged = _held_out_hits(rows, labels, documents, folds, 1 / penalty, seed, max_iterations)
    _, place = np.unique(documents, return_inverse=True)
    per_document = np.bincount(place, hits) / np.bincount(place)
    scaler, classifier, last = _fit(rows, labels, 1 / penalty, max_iterations)
    majority = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    accuracy = bootstrap_mean(
        per_document,
        seed=seed,
        unit="document",
        control_name=f"majority class {majority:.3f}",
        metric="probe accuracy",
        draws=_DRAWS,
    )
    return Probe(
        accuracy=accuracy if converged and last else replace(accuracy, note=UNCONVERGED),
        document_hits=per_document,
        majority=majority,
        weights=_softmax_weights(classifier),
        classes=np.asarray(classifier.classes_),
        scale=np.asarray(scaler.scale_),
    )


def control_labels(types: Shaped[np.ndarray, "n"], labels: Int[np.ndarray, "n"], *, seed: int) -> Int[np.ndarray, "n"]:
    """Hewitt and Liang's control task: every token type gets one random label, drawn as often as in `labels`.

    Noise (-1) stays noise. The only way to solve it is to remember types. Source: Hewitt and Liang 2019, section 2.
    """
    kinds, place = np.unique(types, return_inverse=True)
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    drawn = np.random.default_rng(seed).choice(classes, size=len(kinds), p=counts / counts.sum())
    return np.asarray(np.where(labels >= 0, drawn[place.reshape(-1)], -1))


def selectivity(
    states: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, "n"],
    documents: Int[np.ndarray, "n"],
    types: Shaped[np.ndarray, "n"],
    *,
    folds: int = 5,
    penalty: float = 1.0,
    seed: int = 0,
    max_iterations: int = 1000,
) -> Selectivity:
    """Probe accuracy for the clusters minus accuracy for a random label per token type, paired by document.

    Trust: the control is only as hard as the types repeat: where every type occurs once it cannot be solved and the
    selectivity flatters the probe.
    """
    task = probe(states, labels, documents, folds=folds, penalty=penalty, seed=seed, max_iterations=max_iterations)
    control = probe(
        states,
        control_labels(types, labels, seed=seed),
        documents,
        folds=folds,
        penalty=penalty,
        seed=seed,
        max_iterations=max_iterations,
    )
    difference = paired_difference(
        task.document_hits,
        control.document_hits,
        seed=seed,
        unit="document",
        control_name="random label per token type",
        metric="probe selectivity",
        draws=_DRAWS,
    )
    return Selectivity(task=task, control=control, selectivity=difference)


def important_dims(fitted: Probe, cluster: int, top: int) -> Int[np.ndarray, "top"]:
    """The `top` dimensions with the largest standardised weight for a cluster, of either sign."""
    return np.argsort(-np.abs(_weights_of(fitted, cluster)), kind="stable")[:top]


def probe_direction(fitted: Probe, cluster: int) -> Float[np.ndarray, "d"]:
    """The unit vector in activation space along which the odds of a cluster rise fastest."""
    gradient = _weights_of(fitted, cluster) / fitted.scale
    norm = np.linalg.norm(gradient)
    return np.asarray(gradient / norm if norm > 0 else gradient)


def _weights_of(fitted: Probe, cluster: int) -> Float[np.ndarray, "d"]:
    place = np.flatnonzero(fitted.classes == cluster)
    if not len(place):
        raise CorpusError(f"The probe has not seen cluster {cluster}; it knows {fitted.classes.tolist()}.")
    return np.asarray(fitted.weights[place[0]])


def _check_classes(labels: np.ndarray, documents: np.ndarray, folds: int) -> None:
    classes = np.unique(labels)
    if len(classes) < 2:
        raise CorpusError(f"A probe needs two clusters to tell apart, but the rows have only {classes.tolist()}.")
    for name in classes:
        held = len(np.unique(documents[labels == name]))
        if held < folds:
            raise CorpusError(
                f"Cluster {name} touches {held} documents, fewer than the {folds} folds: add documents or lower the folds."
            )


def _held_out_hits(
    rows: np.ndarray, labels: np.ndarray, documents: np.ndarray, folds: int, c: float, seed: int, max_iterations: int
) -> tuple[Float[np.ndarray, "n"], bool]:
    hits, converged = np.zeros(len(rows)), True
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    for train, test in splitter.split(rows, labels, documents):
        scaler, classifier, finished = _fit(rows[train], labels[train], c, max_iterations)
        hits[test] = classifier.predict(scaler.transform(rows[test])) == labels[test]
        converged &= finished
    return hits, converged


def _fit(
    rows: np.ndarray, labels: np.ndarray, c: float, max_iterations: int
) -> tuple[StandardScaler, LogisticRegression, bool]:
    scaler = StandardScaler().fit(rows)
    classifier = LogisticRegression(C=c, max_iter=max_iterations)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        classifier.fit(scaler.transform(rows), labels)
    return scaler, classifier, not caught


def _softmax_weights(classifier: LogisticRegression) -> Float[np.ndarray, "cluster d"]:
    """One centred weight vector per class; scikit-learn gives two classes a single vector of log odds."""
    weights = np.asarray(classifier.coef_)
    if len(weights) == 1:
        return np.concatenate([-weights / 2, weights / 2])
    return np.asarray(weights - weights.mean(0))
