"""An emergence study on the page: what its sections read."""

from dataclasses import dataclass

from imprint.report import emergence_allocation, emergence_forecast, emergence_forest
from imprint.report.arms import Arm, looks
from imprint.report.charts import Figure
from imprint.report.emergence_curves import AbilityCurves, ability_curves
from imprint.report.emergence_graph import Picture, picture
from imprint.report.emergence_records import ArmEffectRecord, CurveRecord, EdgeRecord, EmergenceRecord
from imprint.report.model import OnsetRecord
from imprint.report.trajectories import onset_words
from imprint.studies.emergence import Forecast

STATES = {
    "supported": "An arm that sets the cause moved the effect in the registered direction, and nothing else that was found"
    " explains it.",
    "added": "Not registered: an arm moved it, and the graph had no path for that.",
    "dropped": "The effect is negligible, gone while what lies between is held, or of the other sign.",
    "undecided": "These runs cannot say.",
}
"""The states of an edge, and what each means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmergenceView:
    """All that the templates of an emergence study read beside its record."""

    picture: Picture
    states: tuple[tuple[str, str, tuple[EdgeRecord, ...]], ...]
    """State, its meaning, its edges."""
    abilities: tuple[Figure, ...]
    """What every arm did to each ability, then, in `others`, to each other node."""
    others: tuple[Figure, ...]
    without: tuple[str, ...]
    """Nodes that no arm has an effect on to draw: at their floor everywhere, or not measured."""
    curves: tuple[AbilityCurves, ...]
    arms: dict[str, Arm]
    forecast: Figure | None
    forecasts: tuple[Forecast, ...]
    quality: tuple[tuple[str, str, str], ...]
    allocation: Figure | None

    @property
    def figures(self) -> list[Figure]:
        """Every chart, in reading order."""
        small = [figure for one in self.curves for figure in one.figures]
        last = [figure for figure in (self.forecast, self.allocation) if figure]
        return [*self.abilities, *self.others, *small, *last]


def emergence_view(record: EmergenceRecord) -> EmergenceView:
    """The record as the page shows it."""
    effects, forecast = emergence_forest.figures(record.effects), record.forecast
    measured = dict.fromkeys(one.effect for one in record.effects if one.found and one.kind == "ability")
    return EmergenceView(
        picture=picture(record.graph),
        states=tuple(
            (state, meaning, tuple(edge for edge in record.graph.edges if edge.state == state))
            for state, meaning in STATES.items()
        ),
        abilities=tuple(effects[: len(measured)]),
        others=tuple(effects[len(measured) :]),
        without=tuple(
            name
            for name in dict.fromkeys(one.effect for one in record.effects)
            if name not in {one.title for one in effects}
        ),
        curves=ability_curves(record.curves, record.design.scales, record.abruptness),
        arms=looks(curve.arm for curve in record.curves),
        forecast=emergence_forecast.figure(forecast) if forecast else None,
        forecasts=tuple(emergence_forecast.in_order(forecast)) if forecast else (),
        quality=tuple(emergence_forecast.quality(forecast)) if forecast else (),
        allocation=emergence_allocation.figure(record.allocation) if record.allocation else None,
    )


def effect_label(one: ArmEffectRecord) -> str:
    """The arm of an effect, with what it holds."""
    return emergence_forest.label(one)


def came(one: Forecast) -> str:
    """What came of a forecast, in words."""
    return emergence_forecast.came(one)


def first_there(curve: CurveRecord) -> str:
    """The first checkpoint at which the ability was there, over seeds."""
    onsets = [
        OnsetRecord(arm=curve.arm, seed=place, step=None if step is None else float(step))
        for place, step in enumerate(curve.onsets)
    ]
    return onset_words(onsets)
