"""What a perturbation costs an ability: the Ablation Impact Score, raw and chance-corrected, on paired items.

AIS = (M(f) - M(f')) / M(f) after source 001, where f' is the perturbed model; METHODS §5 says why it never stands alone: it
is undefined at M(f) = 0, explodes near chance, and random answers have a negative one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float64, Shaped
from scipy import stats

from imprint.errors import InputError
from imprint.stats.effects import Effect, Unit
from imprint.stats.item_weights import item_weights
from imprint.stats.resampling import SMALL_SAMPLE, paired_permutation
from imprint.stats.samples import NO_SPREAD, require_sample
from imprint.stats.undefined import Estimate, Undefined

Better = Literal["higher", "lower"]
"""Which way the metric improves: accuracy is better higher, loss and perplexity lower."""
Scale = Literal["ratio", "interval"]
"""Whether zero means "nothing": accuracy has a ratio, a log-probability only differences (nats)."""

UNPERTURBED = "the same items, unperturbed"
_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Impact:
    """The cost of one perturbation to one metric. Positive everywhere: the perturbation made the model worse."""

    metric: str
    before: float
    """M(f), the mean over items of the unperturbed model."""
    after: float
    """M(f'), the mean over the same items of the perturbed model."""
    lost: Effect
    """How much worse, in the metric's units (accuracy points, nats)."""
    ais: Estimate
    """`lost` relative to M(f)."""
    corrected: Estimate
    """`lost` relative to what the unperturbed model has above chance: 1 = all of it gone."""
    p: float
    """Two-sided p of no change, by `test`."""
    test: str

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and words, ready for JSON."""
        plain = {name: getattr(self, name) for name in ("metric", "before", "after", "p", "test")}
        return plain | {name: getattr(self, name).as_dict() for name in ("lost", "ais", "corrected")}


def ais(before: float, after: float, *, better: Better = "higher") -> float | Undefined:
    """The raw Ablation Impact Score of two means; positive = worse.

    Trust: 30 % to 25 % on four options is .167 although all that the model knew is gone; see `corrected_ais`.
    """
    lost = before - after if better == "higher" else after - before
    return lost / before if before != 0 else Undefined(reason="M(f) is 0: there is nothing to lose a share of")


def corrected_ais(before: float, after: float, *, chance: float) -> float | Undefined:
    """(M(f) - M(f')) / (M(f) - chance): 0 = nothing lost, 1 = at chance, above 1 = below chance. For either direction."""
    if before == chance:
        return Undefined(reason=f"M(f) is at chance ({chance:.3g}): there is nothing above chance to lose")
    return (before - after) / (before - chance)


def impact(
    before: Float[np.ndarray, " item"],
    after: Float[np.ndarray, " perturbed"],
    *,
    seed: int,
    chance: float | None = None,
    better: Better = "higher",
    scale: Scale = "ratio",
    groups: Shaped[np.ndarray, " group_of_item"] | None = None,
    unit: Unit = "item",
    metric: str = "accuracy",
    level: float = 0.95,
    draws: int = 2000,
) -> Impact:
    """One perturbation against the unperturbed model, item by item; see `impacts` for many at once."""
    (found,) = impacts(
        before,
        after[None],
        seed=seed,
        chance=chance,
        better=better,
        scale=scale,
        groups=groups,
        unit=unit,
        metric=metric,
        level=level,
        draws=draws,
    )
    return found


def impacts(
    before: Float[np.ndarray, " item"],
    after: Float[np.ndarray, "perturbation perturbed"],
    *,
    seed: int,
    chance: float | None = None,
    better: Better = "higher",
    scale: Scale = "ratio",
    groups: Shaped[np.ndarray, " group_of_item"] | None = None,
    unit: Unit = "item",
    metric: str = "accuracy",
    level: float = 0.95,
    draws: int = 2000,
) -> list[Impact]:
    """Every perturbation against the unperturbed model, paired by item, with percentile bootstrap intervals.

    All perturbations share the resamples. With `groups` (the pipeline seed of each item) groups are resampled first and
    items within them, and n counts groups. p: exact McNemar for 0/1 items, else sign flips (of group means).

    Raises:
        InputError: fewer than 2 items or groups, or perturbed items of another number.
        SelfCheckFailed: a value is not finite.

    Trust: a share is undefined, not merely wide, when the interval of M(f) reaches zero (or chance). Random answers pull
    accuracy towards one half, so a model at 20 % gains by noise: compare with a matched control, never with zero alone.
    """
    _check(before, after, groups)
    plain = before.astype(np.float64)
    table = after.astype(np.float64)
    first, drops = _resampled(plain, table, groups, seed, draws)
    tails = [50 * (1 - level), 50 * (1 + level)]
    sign = 1.0 if better == "higher" else -1.0
    count, resampled = _units(plain, groups, unit)
    tests = _tests(plain, table, groups, seed, draws)

    def interval(values: np.ndarray, estimate: float) -> Effect:
        low, high = np.percentile(values, tails)
        return _effect(estimate, float(low), float(high), count, resampled, metric, level)

    def share(floor: float, orient: float, name: str, number: int) -> Estimate:
        low, high = np.percentile(first, tails)
        if low <= floor <= high:
            reason = f"M(f) = {plain.mean():.3f} [{low:.3f}, {high:.3f}] is not told from {name} {floor:.3g}"
            return Undefined(reason=f"{reason}: there is nothing to lose a share of")
        ratio = orient * (plain.mean() - table[number].mean()) / (plain.mean() - floor)
        there = first != floor  # a resample at the floor itself has no ratio; it lies beyond the interval
        return interval(orient * drops[number, there] / (first[there] - floor), float(ratio))

    def one(number: int) -> Impact:
        gone = Undefined(reason=f"{metric} has no zero, so no share of it can be lost: read the difference")
        whole = share(0.0, sign, "zero", number) if scale == "ratio" else gone
        no_chance = Undefined(reason=f"no chance level of {metric} was given")
        lost = sign * (plain.mean() - table[number].mean())
        return Impact(
            metric=metric,
            before=float(plain.mean()),
            after=float(table[number].mean()),
            lost=interval(sign * drops[number], float(lost)),
            ais=whole,
            corrected=no_chance if chance is None else share(chance, 1.0, "chance", number),
            p=float(tests[0][number]),
            test=tests[1],
        )

    return [one(number) for number in range(len(table))]


def random_flip_null(accuracy: float, items: int, flips: float, *, seed: int, draws: int = 2000) -> tuple[float, float]:
    """Mean and standard deviation of the raw AIS when a share `flips` of 0/1 items flips at random: no effect at all.

    The mean is not zero: about -flips (1 - 2 accuracy) / accuracy, so weak models seem to gain (METHODS §5).
    """
    rng = np.random.default_rng(seed)
    before = rng.random((draws, items)) < accuracy
    after = before ^ (rng.random((draws, items)) < flips)
    kept = before.any(1)
    values = 1 - after[kept].mean(1) / before[kept].mean(1)
    return float(values.mean()), float(values.std())


def _check(before: np.ndarray, after: np.ndarray, groups: np.ndarray | None) -> None:
    if after.shape[1] != before.size:
        raise InputError(
            f"{before.size} unperturbed and {after.shape[1]} perturbed items cannot be paired: evaluate one list."
        )
    require_sample(before, name="the unperturbed items")
    require_sample(after, at_least=1, name="the perturbed items")
    if groups is not None and (groups.shape != before.shape or len(np.unique(groups)) < 2):
        raise InputError(
            f"{len(np.unique(groups))} group(s) for {groups.size} of {before.size} items: give every item its seed,"
            " at least 2 different ones, or leave groups out."
        )


def _units(before: np.ndarray, groups: np.ndarray | None, unit: Unit) -> tuple[int, Unit]:
    return (before.size, unit) if groups is None else (len(np.unique(groups)), "pipeline seed")


def _effect(estimate: float, low: float, high: float, n: int, unit: Unit, metric: str, level: float) -> Effect:
    note = NO_SPREAD if low == high else "" if n >= SMALL_SAMPLE else f"bootstrap of {n} units is too narrow"
    return Effect(
        estimate=estimate,
        low=low,
        high=high,
        n=n,
        unit=unit,
        control=UNPERTURBED,
        metric=metric,
        level=level,
        note=note,
    )


def _resampled(
    before: Float64[np.ndarray, " item"],
    after: Float64[np.ndarray, "perturbation item"],
    groups: np.ndarray | None,
    seed: int,
    draws: int,
) -> tuple[Float64[np.ndarray, " draw"], Float64[np.ndarray, "perturbation draw"]]:
    """M(f) and every M(f) - M(f') over resampled items, from the same resamples."""
    first, drops, differences = [], [], before - after
    for weights in item_weights(before.size, groups, seed=seed, draws=draws):
        first.append(weights @ before)
        drops.append(differences @ weights.T)
    return np.concatenate(first), np.concatenate(drops, axis=1)


def _tests(
    before: np.ndarray, after: np.ndarray, groups: np.ndarray | None, seed: int, draws: int
) -> tuple[Float64[np.ndarray, " perturbation"], str]:
    """Two-sided p of every perturbation, and the name of the test."""
    if groups is not None:
        names = np.unique(groups)

        def means(values: np.ndarray) -> np.ndarray:
            return np.array([values[groups == name].mean() for name in names])

        return _each(after, lambda row: paired_permutation(means(row), means(before), seed=seed)), "sign flips of seeds"
    if np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all():
        return _mcnemar(before, after), "exact McNemar"
    return _sign_flips(before - after, seed, draws), "sign flips of items"


def _each(rows: np.ndarray, function: Callable[[np.ndarray], float]) -> Float64[np.ndarray, " row"]:
    return np.array([function(row) for row in rows])


def _mcnemar(before: np.ndarray, after: np.ndarray) -> Float64[np.ndarray, " perturbation"]:
    """`exact_mcnemar` for many at once: twice the smaller tail of a fair coin, at most 1."""
    b, c = ((before > after).sum(1), (before < after).sum(1))
    return np.asarray(np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(b, c), b + c, 0.5)))


def _sign_flips(
    differences: Float64[np.ndarray, "perturbation item"], seed: int, draws: int
) -> Float64[np.ndarray, " perturbation"]:
    """Monte Carlo (b + 1) / (draws + 1), the same flips for all perturbations."""
    rng = np.random.default_rng([seed, 1])
    observed = np.abs(differences.sum(1))
    slack = 1e-12 * np.abs(differences).sum(1)
    beyond = np.zeros(len(differences))
    block = max(1, _NUMBERS_AT_ONCE // differences.shape[1])
    for start in range(0, draws, block):
        signs = rng.choice([-1.0, 1.0], size=(min(block, draws - start), differences.shape[1]))
        beyond += (np.abs(differences @ signs.T) >= (observed - slack)[:, None]).sum(1)
    return np.minimum(1.0, (beyond + 1) / (draws + 1))
