"""The nest of outcome values (condition / pipeline seed / stage seed / evaluation sample), and which designs answer what."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int, Shaped

from imprint.errors import InputError
from imprint.stats.samples import require_sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Nest:
    """One outcome metric of many finished models, each value with its place in the nest.

    A pipeline is one run of all stages from the first one that differs between conditions; equal pipeline labels in two
    conditions are two pipelines. Several rows with the same place are evaluation samples of one model.

    Raises:
        InputError: fewer than 2 values, or a column of another length.
        SelfCheckFailed: a value is not finite.
    """

    values: Float[np.ndarray, " row"]
    conditions: Shaped[np.ndarray, " condition_row"]
    pipelines: Shaped[np.ndarray, " pipeline_row"]
    """Pipeline seeds."""
    stages: Shaped[np.ndarray, " stage_row"] | None = None
    """Seeds of the last stage, where one pipeline was finished several times."""
    metric: str = "the outcome"

    def __post_init__(self) -> None:
        """Refuse columns that do not fit and values that cannot be analysed."""
        require_sample(self.values, name=self.metric)
        for name, column in self.labels().items():
            if column.shape != self.values.shape:
                raise InputError(
                    f"{column.size} labels of {name} do not fit {self.values.size} values of {self.metric}: give one a row."
                )

    def labels(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """The label columns, from the outermost level inwards."""
        outer = {"condition": self.conditions, "pipeline seed": self.pipelines}
        return outer if self.stages is None else outer | {"stage seed": self.stages}


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineMeans:
    """One value a pipeline, the pipelines of a condition side by side."""

    values: Float64[np.ndarray, " pipeline"]
    conditions: Int[np.ndarray, " pipeline"]
    """Ascending index of the condition, in the sorted order of its labels."""
    seeds: Shaped[np.ndarray, " pipeline"]
    sizes: Int[np.ndarray, " condition"]
    """Pipelines a condition."""
    metric: str
    note: str
    """What a reader must know before trusting a test on these pipelines; empty when there is nothing."""


def nested_codes(nest: Nest) -> dict[str, Int[np.ndarray, " row"]]:
    """The node of every row at every level, numbered so that the children of a node are side by side."""
    codes: dict[str, np.ndarray] = {}
    outer = np.zeros(nest.values.size, dtype=np.int64)
    for level, column in nest.labels().items():
        inner = np.unique(column, return_inverse=True)[1].ravel()
        outer = np.unique(outer * (inner.max() + 1) + inner, return_inverse=True)[1].ravel()
        codes[level] = outer
    return codes


def require_pipelines(nest: Nest) -> None:
    """Refuse a design in which conditions cannot be told from pipelines.

    Raises:
        InputError: one condition only, or no condition with two pipelines; the message names a design that would do.
    """
    codes = nested_codes(nest)
    conditions, pipelines = (int(codes[level].max()) + 1 for level in ("condition", "pipeline seed"))
    if conditions < 2:
        raise InputError(f"{nest.metric} has one condition: to ask whether conditions matter, give at least 2.")
    if pipelines == conditions:
        raise InputError(
            f"{nest.metric} has one pipeline seed in each of {conditions} conditions, and last-stage seeds or evaluation "
            f"samples of one pipeline ({nest.values.size} values) are not independent evidence about conditions: run at "
            "least 2, better 5, pipeline seeds of every condition from the first stage on, one last-stage seed each."
        )


def pipeline_means(nest: Nest) -> PipelineMeans:
    """The mean of every pipeline: evaluation samples averaged within stage seeds, then stage seeds within pipelines.

    Raises:
        InputError: conditions cannot be told from pipelines (see `require_pipelines`).

    Trust: pipelines with more last-stage seeds have quieter means; finish all pipelines equally often.
    """
    require_pipelines(nest)
    codes = nested_codes(nest)
    values, rows = nest.values.astype(np.float64), np.arange(nest.values.size)
    for level in list(codes)[:0:-1]:
        node = codes[level][rows]
        first = np.unique(node, return_index=True)[1]
        values, rows = np.bincount(node, values) / np.bincount(node), rows[first]
    conditions = codes["condition"][rows]
    sizes = np.bincount(conditions)
    single = np.unique(nest.conditions)[sizes == 1]
    note = (
        "" if not single.size else f"one pipeline only in {', '.join(map(str, single))}: spread taken from the others"
    )
    return PipelineMeans(
        values=values,
        conditions=conditions,
        seeds=nest.pipelines[rows],
        sizes=sizes,
        metric=nest.metric,
        note=note,
    )
