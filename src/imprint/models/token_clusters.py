"""Token clusters as content-addressed steps: rows to capture, diagnostics of eps, clusters, and the sheet to check them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from imprint.corpus import CORPUS_FILE, TOKENIZER_FOLDER, Corpus, Packed, PackedCorpus
from imprint.corpus.clusters import (
    Clustering,
    SheetOptions,
    Standardiser,
    TokenClusterCharacter,
    characterise_tokens,
    cluster_tokens,
    draw_sheet,
    epsilon_report,
    token_excerpts,
)
from imprint.errors import CorpusError
from imprint.models.activation_store import ActivationStore
from imprint.models.activations import Activations
from imprint.runs import Context, Step, write_json

EPSILON_FILE, TOKEN_CHARACTER_FILE = "epsilon.json", "characterisation.json"
_NAME_TOKENS = 3


class SampledRows(Step):
    """Random rows of a packed corpus, the same number of tokens from every domain as far as it has them."""

    packed: PackedCorpus
    tokens: int = Field(default=20_000, ge=100)
    """About so many tokens in all: whole rows are taken."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Draw and save, in the order of the corpus."""
        packed = Packed.load(context.get(self.packed))
        names = np.unique(packed.row_domains)
        chosen = np.sort(
            np.concatenate([self._drawn(packed, number, name, len(names)) for number, name in enumerate(names)])
        )
        Packed(
            tokens=packed.tokens[chosen],
            lengths=packed.lengths[chosen],
            document=packed.document[chosen],
            offsets=packed.offsets[chosen],
            document_ids=packed.document_ids,
            domains=packed.domains,
        ).save(folder)

    def _drawn(self, packed: Packed, number: int, name: str, domains: int) -> np.ndarray:
        rows = np.flatnonzero(packed.row_domains == name)
        order = np.random.default_rng([self.seed, number]).permutation(rows)
        before = np.cumsum(packed.lengths[order]) - packed.lengths[order]
        return np.asarray(order[before < self.tokens / domains])


class EpsilonDiagnostics(Step):
    """The k-distance curve of captured states and what each candidate eps would give: `epsilon.json`."""

    activations: Activations
    site: str
    min_samples: int = Field(default=10, ge=2)
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Standardise, try the candidates and save."""
        torch.set_num_threads(1)
        states = ActivationStore.open(context.get(self.activations)).states(self.site)
        standard = Standardiser.fit(states).apply(states)
        report = epsilon_report(standard, min_samples=_samples(self.min_samples, len(states)), seed=self.seed)
        write_json(folder / EPSILON_FILE, report.as_dict())


class ClusterTokens(Step):
    """Token clusters of captured states by DBSCAN, with diagnostics, quality and what each consists of."""

    activations: Activations
    site: str
    eps: float | None = Field(default=None, gt=0)
    """In standard deviations; None: the suggestion of the diagnostics."""
    min_samples: int = Field(default=10, ge=2)
    min_cluster_size: int = Field(default=0, ge=0)
    """Clusters of fewer tokens become noise."""
    tokenizer: PackedCorpus
    """The packed corpus whose tokenizer spells the tokens."""
    seed: int = 0

    def execute(self, folder: Path, context: Context) -> None:
        """Cluster, describe and save."""
        torch.set_num_threads(1)
        store = ActivationStore.open(context.get(self.activations))
        packed = Packed.load(context.get(self.activations.packed))
        found = cluster_tokens(
            store.states(self.site),
            eps=self.eps,
            min_samples=_samples(self.min_samples, store.num_tokens),
            min_cluster_size=self.min_cluster_size,
            seed=self.seed,
            advance=context.advance,
        )
        if found.clustering.num_clusters == 0:
            raise CorpusError(
                f"all {store.num_tokens} tokens are noise at eps {found.cores.eps:.4g}; give a larger eps"
            )
        for concern in (found.eps_report.warning, *found.quality.concerns):
            if concern:
                context.warn(concern)
        described = characterise_tokens(
            found.clustering,
            token_id=store.token_id,
            document=packed.document[store.row],
            domains=packed.domains,
            spell=_speller(context.get(self.tokenizer) / TOKENIZER_FOLDER),
        )
        names = tuple(_name(number, one) for number, one in enumerate(described))
        replace(found, clustering=replace(found.clustering, names=names)).save(folder)
        named = [replace(one, name=name).as_dict() for one, name in zip(described, names, strict=True)]
        write_json(folder / TOKEN_CHARACTER_FILE, named)


class TokenSheet(Step):
    """A stratified sample of clustered tokens in their context for people to label."""

    corpus: Step
    clusters: ClusterTokens
    options: SheetOptions = SheetOptions()

    def execute(self, folder: Path, context: Context) -> None:
        """Draw and save."""
        store = ActivationStore.open(context.get(self.clusters.activations))
        excerpts = token_excerpts(
            Corpus.load(context.get(self.corpus) / CORPUS_FILE),
            Packed.load(context.get(self.clusters.activations.packed)),
            row=store.row,
            position=store.position,
        )
        draw_sheet(Clustering.load(context.get(self.clusters)), excerpts, self.options).save(folder)


def _name(number: int, character: TokenClusterCharacter) -> str:
    """The number, and the most distinctive tokens as they are written in code."""
    return f"{number}: " + " ".join(repr(word.word) for word in character.distinctive[:_NAME_TOKENS])


def _samples(asked: int, tokens: int) -> int:
    if tokens < asked:
        raise CorpusError(f"the corpus gives {tokens} tokens, fewer than min_samples ({asked}); add text")
    return asked


def _speller(folder: Path) -> Callable[[int], str]:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return lambda token: str(tokenizer.decode([token]))
