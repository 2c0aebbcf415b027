"""The one interface of all attribution methods: a `Problem` goes in, one score per query and training row comes out."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64, Int, Shaped
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine import Query, Subspace
from imprint.attribution.unrolled import Training
from imprint.errors import ConfigError
from imprint.types import Advance, no_progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A trained model, its training rows and the queries: what every attribution method is asked.

    Raises:
        ConfigError: no row, no query, two queries of one name, or optional fields that do not fit the rows or queries.
    """

    model: PreTrainedModel
    """The trained model, in evaluation mode."""
    tokens: Int[Tensor, "row seq_plus_1"]
    """The training rows; column 0 is given, the others are predicted."""
    lengths: Int[Tensor, "_row"]
    """How many tokens of each row are predicted; what lies beyond is padding."""
    queries: tuple[Query, ...]
    """Higher = better: a log-likelihood, not a loss."""
    subspace: Subspace
    """The parameters of `model` that gradient methods look at."""
    training: Training | None = None
    """The recorded run that made `model`; None where it is unknown."""
    stage: int = 0
    """Which stage of `training` the rows are the examples of."""
    seed: int = 0
    row_groups: Shaped[np.ndarray, "_row"] | None = None
    """The cluster or domain of each row, for the same-cluster oracle."""
    query_groups: Shaped[np.ndarray, "_query"] | None = None
    query_tokens: Int[Tensor, "text text_plus_1"] | None = None
    """The text of the queries in rows like `tokens`, for baselines that compare text."""
    query_lengths: Int[Tensor, "_text"] | None = None
    """How many tokens of each text count; None = all."""
    query_of_text: Int[Tensor, "_text"] | None = None
    """Which query each row of `query_tokens` belongs to; None = one row a query, in order."""

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if len(self.tokens) == 0 or len(self.tokens) != len(self.lengths):
            raise ConfigError(
                f"attribution needs training rows and one length a row, not {len(self.tokens)} rows and"
                f" {len(self.lengths)} lengths"
            )
        names = [query.name for query in self.queries]
        if not names or len(set(names)) != len(names):
            raise ConfigError(f"attribution needs queries of different names, not {names}")
        if self.row_groups is not None and len(self.row_groups) != len(self.tokens):
            raise ConfigError(f"row_groups names {len(self.row_groups)} rows but there are {len(self.tokens)}")
        if self.query_groups is not None and len(self.query_groups) != len(names):
            raise ConfigError(f"query_groups names {len(self.query_groups)} queries but there are {len(names)}")
        self._check_texts()

    def _check_texts(self) -> None:
        if self.query_tokens is None:
            return
        for name, values in (("query_lengths", self.query_lengths), ("query_of_text", self.query_of_text)):
            if values is not None and len(values) != len(self.query_tokens):
                raise ConfigError(f"{name} has {len(values)} entries but query_tokens {len(self.query_tokens)} rows")
        if set(_owners(self.query_tokens, self.query_of_text).tolist()) != set(range(len(self.queries))):
            raise ConfigError(
                f"query_tokens must hold text of each of the {len(self.queries)} queries and of no other; say which by"
                " query_of_text"
            )


@runtime_checkable
class Method(Protocol):
    """A way to score training rows for queries; a frozen dataclass whose fields are its hyper-parameters."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def needs_training(self) -> bool:
        """Whether it answers only where the training run was recorded."""

    def scores(self, problem: Problem, *, advance: Advance = no_progress) -> Float64[np.ndarray, "query row"]:
        """One score per query and training row; positive = training on the row raises the query.

        Only ranks within a query are comparable between methods; each says in its docstring what its unit is.

        Raises:
            ConfigError: the problem lacks what the method needs (a recorded run, the queries' text, groups).
        """


def recorded(problem: Problem, method: str) -> Training:
    """The recorded run, whose stage must have as many examples as the problem has rows.

    Raises:
        ConfigError: there is none, or it does not fit the rows.
    """
    if problem.training is None:
        raise ConfigError(
            f"{method} needs the recorded training run, and this model's is unknown; pass Problem(training=...) or choose a"
            " method that needs the final model only"
        )
    stages = problem.training.stages
    if not 0 <= problem.stage < len(stages):
        raise ConfigError(f"the recorded run has {len(stages)} stages, so it has no stage {problem.stage}")
    rows = stages[problem.stage].rows
    if rows != len(problem.tokens):
        raise ConfigError(
            f"stage {problem.stage} was trained on {rows} examples but {len(problem.tokens)} rows are to be scored; pass"
            " the stage's own rows"
        )
    return problem.training


def query_texts(problem: Problem, method: str) -> list[tuple[Int[Tensor, "_text text_plus_1"], Int[Tensor, "_text"]]]:
    """The rows of text and their lengths, query by query.

    Raises:
        ConfigError: the problem does not hold the queries' text.
    """
    texts = problem.query_tokens
    if texts is None:
        raise ConfigError(f"{method} compares rows with the query's text; pass Problem(query_tokens=...)")
    lengths = problem.query_lengths
    if lengths is None:
        lengths = torch.full((len(texts),), texts.shape[1] - 1)
    owner = _owners(texts, problem.query_of_text)
    return [(texts[owner == query], lengths[owner == query]) for query in range(len(problem.queries))]


def _owners(texts: Int[Tensor, "text text_plus_1"], owner: Int[Tensor, "text"] | None) -> Int[Tensor, "text"]:
    return torch.arange(len(texts)) if owner is None else owner


def every_query(problem: Problem, values: Shaped[np.ndarray, "row"]) -> Float64[np.ndarray, "query row"]:
    """The same score of a row for every query: what a method gives that does not look at the query."""
    return np.tile(np.asarray(values, dtype=np.float64), (len(problem.queries), 1))
