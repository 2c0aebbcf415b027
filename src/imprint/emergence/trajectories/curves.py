"""Curves: the scores of one ability along one axis, in order, with errors, thresholds and what identifies them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float

from imprint.emergence.trajectories.emerged import chance_corrected, emerged, standard_error, threshold

Axis = Literal["params", "tokens", "flops"]
Values = Float[np.ndarray, "point"]

LEAST_DOMAIN = 4
"""Tasks that share their first word are a domain from this many on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One ability of one line of models along log10 of an axis; `z` is the chance-corrected score.

    A line is what is trained alike: along `params` the models of one family and variant at one budget, along `tokens` the
    checkpoints of one model. `kin` is the wider group whose future is as unknown as the curve's own.
    """

    axis: Axis
    source: str
    family: str
    model: str
    variant: str
    line: str
    kin: str
    task: str
    domain: str
    shots: float
    x: Values
    z: Values
    se: Values
    threshold: Values
    emerged: Bool[np.ndarray, "point"]
    chance: float
    items: float
    size: float
    """log10 of the parameters of the model (axis `tokens`), or nan."""

    @property
    def key(self) -> tuple[str, str, str, float]:
        """What tells curves apart."""
        return (self.axis, self.line, self.task, self.shots)

    def __len__(self) -> int:
        """How many points."""
        return len(self.x)


def curves(table: pl.DataFrame, axis: Axis) -> tuple[Curve, ...]:
    """Every curve of the table along the axis, in the order of its identity; rows without a chance level have none.

    Along `params` and `flops` a model counts once, with its last checkpoint. Repeats at one scale are averaged.
    Trust: families whose models differ in more than size have curves with bends that scale did not make.
    """
    usable = table.filter(
        pl.col("chance").is_not_null() & pl.col(axis).is_not_null() & (pl.col(axis) > 0) & pl.col("score").is_not_null()
    )
    if usable.is_empty():
        return ()
    lined = _lines(usable if axis == "tokens" else _final(usable), axis)
    domains = task_domains(usable["task"].unique().to_list())
    points = _points(lined, axis)
    return tuple(
        _curve(part, axis, domains) for part in points.partition_by("line", "task", "shots", maintain_order=True)
    )


def task_domains(tasks: Iterable[str]) -> dict[str, str]:
    """The domain of every task: its first word if at least four tasks share it, else "other"."""
    words = {task: re.split(r"[_\-:/ ]", task, maxsplit=1)[0].lower() for task in tasks}
    common = Counter(words.values())
    return {task: word if common[word] >= LEAST_DOMAIN else "other" for task, word in words.items()}


def _final(table: pl.DataFrame) -> pl.DataFrame:
    """Each model's last checkpoint on each task."""
    last = pl.max_horizontal(pl.col("tokens").fill_null(0.0), pl.col("step").fill_null(0.0))
    key = ["source", "family", "model", "variant", "params", "task", "shots"]
    return table.filter(last == last.max().over(key))


def _lines(table: pl.DataFrame, axis: Axis) -> pl.DataFrame:
    """The table with the columns `line` and `kin`."""
    join = [pl.col("source"), pl.col("family"), pl.col("variant")]
    if axis == "tokens":
        size = pl.col("params").cast(pl.String).fill_null("")
        line = pl.concat_str([*join, pl.col("model"), size], separator="|")
        return table.with_columns(line.alias("line"), line.alias("kin"))
    kin = pl.concat_str(join[:2], separator="|")
    kinded = table.with_columns(_kind(table).alias("kind"))
    budgeted = kinded.with_columns((_budget(kinded) if axis == "params" else pl.lit("")).alias("budget"))
    line = pl.concat_str([*join, pl.col("kind"), pl.col("budget")], separator="|")
    return budgeted.with_columns(line.alias("line"), kin.alias("kin"))


def _kind(table: pl.DataFrame) -> pl.Expr:
    """What a model's name says beside its size, where a family has several kinds of one size ("" where it has not)."""
    names = table["model"].unique().to_list()
    kinds = {name: re.sub(r"\d+(\.\d+)?[mbtk]?(?![a-z])", "", name.lower()) for name in names}
    kind = pl.col("model").replace_strict(kinds, default="")
    sizes = table.with_columns(kind.alias("kind")).group_by("source", "family", "variant", "params", "task", "shots")
    crowded = sizes.agg(pl.col("kind").n_unique().alias("kinds")).filter(pl.col("kinds") > 1)
    families = crowded.select("source", "family").unique()
    marked = {(row[0], row[1]) for row in families.iter_rows()}
    several = pl.concat_str("source", "family", separator="\n").is_in(["\n".join(pair) for pair in sorted(marked)])
    return pl.when(several).then(kind).otherwise(pl.lit(""))


def _budget(table: pl.DataFrame) -> pl.Expr:
    """The training budget where a family trains one size for several: the multiplier, or tokens a parameter."""
    given = pl.col("chinchilla") if "chinchilla" in table.columns else pl.lit("")
    named = given.cast(pl.String).fill_null("")
    ratio = (pl.col("tokens") / pl.col("params")).log(2.0).round(0).cast(pl.String).fill_null("")
    budgets = pl.col("tokens").n_unique().over("source", "family", "variant", "kind", "params", "task", "shots")
    crowded = (budgets > 1).any().over("source", "family", "variant", "kind")
    return pl.when(crowded & (named == "")).then(ratio).otherwise(named)


def _points(table: pl.DataFrame, axis: Axis) -> pl.DataFrame:
    """One row a point: repeats at one scale averaged."""
    first = ["source", "family", "variant", "kin", "chance"]
    return (
        table.group_by("line", "task", "shots", axis)
        .agg(
            *(pl.col(column).first() for column in first),
            pl.col("model").sort().first(),
            pl.col("score").mean(),
            pl.col("n").max(),
            pl.col("params").max().alias("size"),
        )
        .sort("line", "task", "shots", axis)
    )


def _curve(part: pl.DataFrame, axis: Axis, domains: dict[str, str]) -> Curve:
    head = part.row(0, named=True)
    score, items = part["score"].to_numpy().astype(float), part["n"].to_numpy().astype(float)
    chance = np.full(len(score), float(head["chance"]))
    return Curve(
        axis=axis,
        source=head["source"],
        family=head["family"],
        model=head["model"] if axis == "tokens" else "",
        variant=head["variant"],
        line=head["line"],
        kin=head["kin"],
        task=head["task"],
        domain=domains[head["task"]],
        shots=float(head["shots"]),
        x=np.log10(part[axis].to_numpy().astype(float)),
        z=chance_corrected(score, chance),
        se=standard_error(score, chance, items),
        threshold=threshold(chance, items),
        emerged=emerged(score, chance, items),
        chance=float(head["chance"]),
        items=float(items[0]),
        size=float(np.log10(head["size"])) if axis == "tokens" and head["size"] else float("nan"),
    )


def truncated(whole: Sequence[Curve], limit: float) -> tuple[Curve, ...]:
    """The curves without their points beyond `limit` (log10 of the axis); those without a point left are dropped."""
    return tuple(cut for curve in whole if (cut := before(curve, limit)) is not None)


def before(curve: Curve, limit: float) -> Curve | None:
    """The curve up to and including `limit`, or None."""
    count = int(np.searchsorted(curve.x, limit + 1e-9, side="right"))
    return None if count == 0 else first_points(curve, count)


def first_points(curve: Curve, count: int) -> Curve:
    """The curve's first points."""
    return replace(curve, **{name: getattr(curve, name)[:count] for name in ("x", "z", "se", "threshold", "emerged")})
