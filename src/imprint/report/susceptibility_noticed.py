"""What was registered in a susceptibility study and not done: told without being asked."""

from imprint.report.wording import count, listing
from imprint.stats import ScalarScreen, Undefined
from imprint.studies import SusceptibilityResult
from imprint.studies.susceptibility import NotExamined


def noticed(result: SusceptibilityResult) -> tuple[str, ...]:
    """Hypotheses and scalars that could not be judged, pipelines that are missing, and contaminated items, in sentences."""
    return (*_not_examined(result), *_scalars(result), *_pipelines(result), *_contaminated(result))


def _not_examined(result: SusceptibilityResult) -> list[str]:
    lost = [one for one in result.examined if isinstance(one, NotExamined) and not one.by_rule]
    return [f"{one.id} was registered and could not be examined: {one.reason}." for one in lost]


def _scalars(result: SusceptibilityResult) -> list[str]:
    study, found = result.study, result.representation
    lines = _unused("surface", study.surface.scalars, set(result.surface.scalars), result.surface.registered)
    if study.representation is not None and found is not None:
        lines += _unused("representation", study.representation.scalars, set(found.scalars), found.registered)
    return lines


def _unused(room: str, asked: tuple[str, ...], measured: set[str], screen: ScalarScreen | Undefined) -> list[str]:
    missing = [name for name in asked if name not in measured]
    constant = [] if isinstance(screen, Undefined) else list(screen.constant)
    lines = []
    if missing:
        lines.append(f"Registered {room} scalars that were not measured: {listing(missing)}.")
    if constant:
        lines.append(
            f"Registered {room} scalars that are the same in all conditions, so that they explain nothing and are not corrected"
            f" for: {listing(constant)}."
        )
    return lines


def _pipelines(result: SusceptibilityResult) -> list[str]:
    asked = len(result.study.conditions) * result.study.pipelines.seeds
    ran = result.table.select("condition", "pipeline").unique().height
    return [f"{count(ran, 'pipeline')} of {asked} registered ones finished."] if ran < asked else []


def _contaminated(result: SusceptibilityResult) -> list[str]:
    items = len(result.contamination.items)
    if not items:
        return []
    return [
        f"{count(items, 'evaluation item')} {'stands' if items == 1 else 'stand'} in training text; the verdicts are over all"
        " items, and the variance is shown again without these."
    ]
