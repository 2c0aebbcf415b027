"""What stands beside the tested graph and decides no edge, as records of the report."""

from typing import Any

from imprint.report.emergence_records import BesideRecord, PathRecord
from imprint.report.records import EffectRecord
from imprint.stats import Effect, Undefined
from imprint.studies.emergence import Beside


def beside_record(found: Beside) -> BesideRecord:
    """Taxonomy, structural model and discovery, each with its numbers or the reason why there are none."""
    groups = found.taxonomy.reason if isinstance(found.taxonomy, Undefined) else found.taxonomy.sentence
    return BesideRecord.model_validate({"taxonomy": _sentence(groups), **_structure(found), **_discovery(found)})


def _structure(found: Beside) -> dict[str, Any]:
    model = found.structure
    if isinstance(model, Undefined):
        return {"structure_note": _sentence(model.reason)}
    paths = tuple(
        PathRecord(
            cause=one.cause,
            effect=one.effect,
            direct=_effect(one.direct),
            indirect=_effect(one.indirect),
            total=_effect(one.total),
        )
        for one in model.effects
    )
    notes = dict.fromkeys(one.total.note for one in paths if one.total.note)
    return {"paths": paths, "structure_note": " ".join([model.caveat, *map(_sentence, notes)])}


def _discovery(found: Beside) -> dict[str, Any]:
    check = found.discovery
    if isinstance(check, Undefined):
        return {"discovery_note": _sentence(check.reason)}
    left_out = f" Left out, since they do not vary: {', '.join(check.left_out)}." if check.left_out else ""
    return {
        "agreement": check.agreement,
        "runs": check.runs,
        "reference_edges": check.reference_edges,
        "discovery_note": f"{check.caveat}{left_out}",
    }


def _effect(effect: Effect) -> EffectRecord:
    return EffectRecord.model_validate(effect.as_dict())


def _sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
