"""Can a bag of tokens tell which corpus a document is from? Cross-validated with duplicates held together."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.stats import rankdata

from imprint.corpus.comparison.cross_validation import CrossValidation, Scored, balanced_accuracy, log_counts
from imprint.corpus.comparison.duplicates import duplicate_groups
from imprint.corpus.comparison.ngrams import Tokenize, ngram_counts, surface_tokens
from imprint.corpus.comparison.shares import share
from imprint.corpus.documents import Corpus
from imprint.errors import ConfigError, CorpusError
from imprint.runs import derive
from imprint.stats import Effect
from imprint.types import Advance, no_progress

_PERFECT = "no error: exact binomial interval over groups instead of the bootstrap"


@dataclass(frozen=True, kw_only=True, slots=True)
class TellingToken:
    """A token whose presence speaks for one corpus."""

    domain: str
    token: str
    coefficient: float
    """Mean over folds of the logistic weight of log(1 + count), in nats; positive: speaks for this corpus."""
    sd: float
    """Standard deviation of the weight over folds."""
    folds_in_top: int
    """In how many folds the token is among the `top` of this corpus: its stability."""
    documents: int
    """How many documents of this corpus have the token."""
    elsewhere: int
    """How many documents of the other corpora have it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceClassifier:
    """How well a linear bag of tokens tells corpora apart on documents it was not trained on."""

    domains: tuple[str, ...]
    documents: tuple[int, ...]
    """Documents of each corpus."""
    groups: int
    """Groups of exact and near duplicates, each wholly in one fold; equal to the number of documents without any."""
    accuracy: Effect
    """Share of documents assigned to their corpus; the interval is over groups."""
    balanced_accuracy: Effect
    """Mean over corpora of the same share; chance is 1 / number of corpora whatever their sizes."""
    auc: Effect
    """Mean over folds and corpora of the chance that a document of a corpus outranks one of another; chance .5."""
    largest_share: float
    """Accuracy of always naming the largest corpus."""
    fold_accuracy: tuple[float, ...]
    null_accuracy: tuple[float, ...]
    """Balanced accuracy after each permutation of the labels over groups."""
    p_value: float
    """Share of permutations with at least this balanced accuracy, (b + 1) / (permutations + 1)."""
    telling: tuple[TellingToken, ...]
    """For each corpus its `top` tokens, strongest first."""
    unconverged: int
    """Fits (of the folds, not of the null) that stopped before they converged; 0 is good."""


def classify_corpora(
    corpus: Corpus,
    *,
    seed: int,
    folds: int = 5,
    permutations: int = 100,
    top: int = 20,
    groups: Int[np.ndarray, "document"] | None = None,
    tokenize: Tokenize = surface_tokens,
    min_documents: int = 2,
    most_tokens: int = 20_000,
    inverse_penalty: float = 1.0,
    advance: Advance = no_progress,
) -> SurfaceClassifier:
    """Logistic regression on log(1 + token counts), domain as label, stratified folds of whole groups.

    `groups` holds documents together that must not be parted by a fold; None: `duplicate_groups` of the texts. Tokens
    in fewer than `min_documents` documents of the training folds do not count. Progress counts fits.

    Raises:
        ConfigError: fewer than two folds, negative permutations, or groups that do not fit the documents.
        CorpusError: fewer than two domains, or a domain in fewer groups than there are folds.

    Trust: it sees length and formatting too; corpora that answer the same questions leak the question unless they are
    grouped by it (pass `groups`). The interval leaves out that other training documents would give another classifier.
    """
    texts = [document.text for document in corpus]
    labels = np.unique([document.domain for document in corpus], return_inverse=True)[1]
    groups = duplicate_groups(texts) if groups is None else groups
    _check(corpus, labels, groups, folds, permutations)
    table = ngram_counts(texts, most=most_tokens, tokenize=tokenize)
    task = CrossValidation(
        log_counts(table.counts), labels, groups, folds, min_documents, inverse_penalty, derive(seed, "folds")
    )
    result = task.fitted(advance)
    null = task.null(permutations, derive(seed, "null"), advance)
    accuracy, balanced, auc = _effects(result, task, derive(seed, "bootstrap"))
    p_value = (1 + int((null >= balanced.estimate - 1e-12).sum())) / (1 + permutations)
    return SurfaceClassifier(
        domains=corpus.domains,
        documents=tuple(np.bincount(labels).tolist()),
        groups=len(np.unique(groups)),
        accuracy=accuracy,
        balanced_accuracy=balanced,
        auc=auc,
        largest_share=float(np.bincount(labels).max() / len(labels)),
        fold_accuracy=tuple(float((result.predicted[test] == labels[test]).mean()) for test in result.tests),
        null_accuracy=tuple(null.tolist()),
        p_value=p_value,
        telling=tuple(_telling(result, table.counts, labels, table.grams, corpus.domains, top)),
        unconverged=result.unconverged,
    )


def _check(
    corpus: Corpus, labels: Int[np.ndarray, "_"], groups: Int[np.ndarray, "_"], folds: int, permutations: int
) -> None:
    if folds < 2 or permutations < 0:
        raise ConfigError(
            f"folds={folds} must be 2 or more and permutations={permutations} not negative; correct them."
        )
    if len(groups) != len(labels):
        raise ConfigError(f"{len(groups)} group numbers do not fit {len(labels)} documents; give one a document.")
    if len(corpus.domains) < 2:
        raise CorpusError(f"a classifier needs two corpora (domains), not {len(corpus.domains)}; add one.")
    for place, name in enumerate(corpus.domains):
        found = len(np.unique(groups[labels == place]))
        if found < folds:
            raise CorpusError(
                f"corpus {name!r} has {found} group(s) of documents that differ, too few for {folds} folds; "
                "add documents or use fewer folds."
            )


def _effects(result: Scored, task: CrossValidation, seed: int, draws: int = 300) -> tuple[Effect, Effect, Effect]:
    """Accuracy, balanced accuracy and AUC with a bootstrap over groups within folds."""
    labels, correct = task.labels, result.predicted == task.labels
    kinds, units = int(labels.max()) + 1, len(np.unique(task.groups))
    members = [_members(task.groups, test) for test in result.tests]
    generator, drawn = np.random.default_rng(seed), []
    for _ in range(draws):
        picked = [
            np.concatenate([fold[place] for place in generator.integers(len(fold), size=len(fold))]) for fold in members
        ]
        everything = np.concatenate(picked)
        balanced = balanced_accuracy(correct[everything], labels[everything])
        drawn.append((correct[everything].mean(), balanced, _fold_auc(result.scores, labels, picked)))
    low, high = np.nanquantile(np.array(drawn), [0.025, 0.975], axis=0)
    estimates = (
        float(correct.mean()),
        balanced_accuracy(correct, labels),
        _fold_auc(result.scores, labels, result.tests),
    )
    names = ("accuracy", "balanced accuracy", "AUC")
    chances = (f"largest corpus {np.bincount(labels).max() / len(labels):.3f}", f"chance {1 / kinds:.3f}", "chance 0.5")
    effects = [
        share(units, units, metric=names[place], control=chances[place], unit="document", note=_PERFECT)
        if estimates[place] == 1
        else Effect(
            estimate=estimates[place],
            low=float(min(low[place], estimates[place])),
            high=float(max(high[place], estimates[place])),
            n=units,
            unit="document",
            control=chances[place],
            metric=names[place],
        )
        for place in range(3)
    ]
    return effects[0], effects[1], effects[2]


def _members(groups: Int[np.ndarray, "document"], test: Int[np.ndarray, "test"]) -> list[Int[np.ndarray, "_"]]:
    order = test[np.argsort(groups[test], kind="stable")]
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _fold_auc(
    scores: Float[np.ndarray, "document label"], labels: Int[np.ndarray, "document"], tests: list[np.ndarray]
) -> float:
    """Mean over folds and labels of one-against-rest AUC; folds that lack a side are left out."""
    found = []
    for test in tests:
        for label in range(scores.shape[1]):
            positive = labels[test] == label
            n, m = int(positive.sum()), int((~positive).sum())
            if n and m:
                ranks = rankdata(scores[test, label])
                found.append((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))
    return float(np.mean(found)) if found else float("nan")


def _telling(
    result: Scored,
    counts: csr_array,
    labels: Int[np.ndarray, "document"],
    grams: tuple[str, ...],
    domains: tuple[str, ...],
    top: int,
) -> Iterator[TellingToken]:
    mean, sd = result.coefficients.mean(axis=0), result.coefficients.std(axis=0, ddof=1)
    everywhere = np.bincount(counts.indices, minlength=len(grams))
    for label, domain in enumerate(domains):
        inside = np.bincount(counts[np.flatnonzero(labels == label)].indices, minlength=len(grams))
        best = [set(np.argsort(-fold, kind="stable")[:top].tolist()) for fold in result.coefficients[:, label]]
        for gram in np.argsort(-mean[label], kind="stable")[:top].tolist():
            if mean[label, gram] <= 0:
                break
            yield TellingToken(
                domain=domain,
                token=grams[gram],
                coefficient=float(mean[label, gram]),
                sd=float(sd[label, gram]),
                folds_in_top=sum(gram in fold for fold in best),
                documents=int(inside[gram]),
                elsewhere=int(everywhere[gram] - inside[gram]),
            )
