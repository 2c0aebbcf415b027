"""The findings of a susceptibility study as records of its report: contamination, surface, representation, removal."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imprint.corpus.chat import Conversation, read_conversations
from imprint.report.records import EffectRecord
from imprint.report.susceptibility_records import (
    ClassifierRecord,
    ContaminationRecord,
    ConversationRecord,
    DivergenceRecord,
    MatchRecord,
    RemovalRecord,
    RemovalsRecord,
    RepresentationRecord,
    ScreenRecord,
    SiteRecord,
    SurfaceRecord,
)
from imprint.report.wording import percent
from imprint.stats import Undefined
from imprint.studies import SusceptibilityResult
from imprint.studies.susceptibility import (
    ContaminationFinding,
    Removal,
    RemovalFinding,
    RepresentationFinding,
    SurfaceFinding,
)

SHOWN = 20
"""Most matches, and most conversations of a condition, on the page."""
TOKENS = 8


def contamination_record(found: ContaminationFinding) -> ContaminationRecord:
    """How many items stand in training text, and the first of them."""
    summary = found.summary
    chance = summary["false_positives"]
    return ContaminationRecord(
        found=len(found.items),
        matches=len(found.matches),
        judged_clean=len(summary["clean"]),
        unjudged=len(summary["unjudged"]),
        first=tuple(_match(one) for one in found.matches[:SHOWN]),
        shares={name: EffectRecord.model_validate(share) for name, share in summary["shares"].items()},
        chance=f"How often chance gives a match is not known: {chance['reason']}."
        if "reason" in chance
        else f"The search finds {percent(chance['estimate'])} of texts that are no items (up to {percent(chance['high'])}).",
    )


def _match(one: Mapping[str, Any]) -> MatchRecord:
    return MatchRecord.model_validate({name: one[name] for name in MatchRecord.model_fields})


def surface_record(found: SurfaceFinding) -> SurfaceRecord:
    """What the text gives away: the screen, the classifier with its null, every two conditions' divergence."""
    return SurfaceRecord(
        screen=_screen(found),
        classifier=_classifier(found.classifier),
        divergences=tuple(_divergence(one) for one in found.divergences["pairs"]),
    )


def _screen(found: SurfaceFinding | RepresentationFinding) -> ScreenRecord:
    scalars = {name: dict(values) for name, values in found.scalars.items()}
    return ScreenRecord(scalars=scalars, registered=found.registered, explored=found.explored)


def _classifier(found: Mapping[str, Any]) -> ClassifierRecord:
    null = found["null_accuracy"]
    return ClassifierRecord(
        accuracy=EffectRecord.model_validate(found["balanced_accuracy"]),
        chance=1 / len(found["domains"]),
        null_high=float(np.quantile(null, 0.95)) if null else None,
        p=found["p_value"],
        tokens=tuple((name, _tokens(found["telling"], name)) for name in found["domains"]),
    )


def _tokens(telling: Sequence[Mapping[str, Any]], domain: str) -> tuple[tuple[str, int, int], ...]:
    own = [one for one in telling if one["domain"] == domain][:TOKENS]
    return tuple((one["token"], one["documents"], one["elsewhere"]) for one in own)


def _divergence(one: Mapping[str, Any]) -> DivergenceRecord:
    js = one["js"]
    return DivergenceRecord(
        first=one["first"],
        second=one["second"],
        n=one["n"],
        js=js["plug_in"],
        null_high=js["null_high"],
        p=js["p_value"],
        excess=EffectRecord.model_validate(js["excess"]),
    )


def representation_record(found: RepresentationFinding) -> RepresentationRecord:
    """What differs between the checkpoints, site by site."""
    return RepresentationRecord(
        screen=_screen(found),
        sites=tuple(_site(found, site) for site in found.directions),
        incomplete=found.panel.incomplete,
    )


def _site(found: RepresentationFinding, site: str) -> SiteRecord:
    probe, directions = found.probes[site], found.directions[site]
    told = (
        {"note": probe.reason}
        if isinstance(probe, Undefined)
        else {"probe": probe.probe.accuracy.as_dict(), "chance": probe.probe.majority}
        | {"held_out": probe.held_out, "note": probe.note}
    )
    return SiteRecord(
        site=site,
        **told,
        between=directions.between,
        null_high=directions.null_95,
        p=directions.p,
        p_first=directions.p_first,
    )


def removals_record(result: SusceptibilityResult) -> RemovalsRecord | None:
    """The arms of every condition; None where none was rerun."""
    found = result.removal
    if not isinstance(found, RemovalFinding):
        return None
    return RemovalsRecord(
        sd=found.sd,
        freedom=found.freedom,
        fraction=found.fraction,
        removals=tuple(_removal(one, result) for one in found.removals),
    )


def _removal(one: Removal, result: SusceptibilityResult) -> RemovalRecord:
    return RemovalRecord(
        condition=one.condition,
        above=one.above,
        methods=tuple(scores.method for scores in one.scores),
        removed=len(one.drivers),
        conversations=_conversations(one, result),
        outcomes={arm: tuple(values.tolist()) for arm, values in one.outcomes.items()},
        shift=EffectRecord.model_validate(one.shift.as_dict()),
        p=one.p,
        others=tuple((pair, EffectRecord.model_validate(effect.as_dict())) for pair, effect in one.others.items()),
        agreements=one.agreements,
    )


def _conversations(one: Removal, result: SusceptibilityResult) -> tuple[ConversationRecord, ...]:
    """The first of the drivers with their text, as the condition's files hold it."""
    reading = read_conversations(result.study.conditions[one.condition])
    texts = {conversation.id: conversation for conversation in reading.conversations}
    scores = dict(zip(one.scores[0].ids, one.scores[0].values.tolist(), strict=True))
    return tuple(
        ConversationRecord(id=name, score=scores[name], messages=_messages(texts.get(name)))
        for name in one.drivers[:SHOWN]
    )


def _messages(conversation: Conversation | None) -> tuple[tuple[str, str], ...]:
    return () if conversation is None else tuple((one.role, one.content) for one in conversation.messages)
