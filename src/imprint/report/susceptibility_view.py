"""A susceptibility study on the page: what its sections read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from imprint.report import divergence_map, removal_arms
from imprint.report.charts import Figure
from imprint.report.scalar_screens import ScreenView, screen_view
from imprint.report.susceptibility_records import RemovalRecord, SusceptibilityRecord
from imprint.report.variance import VarianceView, variance_views


@dataclass(frozen=True, kw_only=True, slots=True)
class SusceptibilityView:
    """All that the templates of a susceptibility study read beside its record."""

    variance: tuple[VarianceView, ...]
    """Of every outcome, then the same over clean items."""
    surface: ScreenView
    divergences: tuple[Figure, ...]
    representation: ScreenView | None
    removals: tuple[tuple[RemovalRecord, Figure, float], ...]
    """With the distance of the untouched condition from the mean of the others, sd of a pipeline."""
    shifts: tuple[float, ...]
    """What the small plots of shifts must all cover."""

    @property
    def figures(self) -> list[Figure]:
        """Every chart, in reading order."""
        screens = self.representation.figures if self.representation else ()
        variance = [figure for view in self.variance for figure in view.figures]
        return [
            *variance,
            *self.divergences,
            *self.surface.figures,
            *screens,
            *(figure for _, figure, _ in self.removals),
        ]


def susceptibility_view(record: SusceptibilityRecord) -> SusceptibilityView:
    """The record as the page shows it."""
    conditions = [name for name, _ in record.design.conditions]
    maps = [divergence_map.figure(record.surface.divergences, n) for n in (1, 2)]
    found = record.representation
    findings = [*record.variance, *(replace(one, metric=f"{one.metric}, clean items only") for one in record.clean)]
    return SusceptibilityView(
        variance=tuple(variance_views(findings)),
        surface=screen_view(record.surface.screen, record.means, conditions, "surface"),
        divergences=tuple(figure for figure in maps if figure),
        representation=screen_view(found.screen, record.means, conditions, "representation") if found else None,
        removals=_removals(record),
        shifts=tuple(_ends(record.removal.removals if record.removal else ())),
    )


def _removals(record: SusceptibilityRecord) -> tuple[tuple[RemovalRecord, Figure, float], ...]:
    if record.removal is None:
        return ()
    found, outcome = record.removal, record.explanation.outcome
    means = record.means[outcome]
    others = [fmean(mean for name, mean in means.items() if name != one.condition) for one in found.removals]
    figures = removal_arms.figures(found.removals, outcome, others)
    distances = [
        abs(means[one.condition] - other) / found.sd for one, other in zip(found.removals, others, strict=True)
    ]
    return tuple(zip(found.removals, figures, distances, strict=True))


def _ends(removals: Sequence[RemovalRecord]) -> list[float]:
    """Every end of every interval."""
    effects = [effect for one in removals for effect in (one.shift, *(effect for _, effect in one.others))]
    return [end for effect in effects for end in (effect.low, effect.high) if end is not None]
