"""From a mechanism study's result to the records of its further arms: doses, sizes, gains, synthetic text."""

from imprint.report.records import EffectRecord
from imprint.report.study_records import (
    DoseRecord,
    GainRecord,
    IclRecord,
    SizeRecord,
    SizesRecord,
    WrittenRecord,
)
from imprint.stats import Effect, Undefined
from imprint.studies import KEEP, LOG_ONSET, STRENGTH, ArmEffect, MechanismResult
from imprint.studies.mechanism.arm_names import edits
from imprint.studies.mechanism.gains import PUBLISHED_GAINS, PUBLISHED_OWN_PATTERNS
from imprint.studies.mechanism.metrics import dose_label


def is_main(arm: str, result: MechanismResult) -> bool:
    """Whether an arm is of the study's own model and at its main share, so that it belongs on the charts."""
    doses = tuple(f"_{dose_label(fraction)}" for fraction in result.study.interventions.fractions)
    return "@" not in arm and not (doses and arm.endswith(doses))


def dose_records(result: MechanismResult) -> tuple[DoseRecord, ...]:
    """One record an edit and share, the smallest share first; none where only one share was tried."""
    options = result.study.interventions
    if not options.fractions:
        return ()
    records = []
    for edit in edits(options):
        for fraction in sorted({options.fraction, *options.fractions}):
            suffix = "" if fraction == options.fraction else f"_{dose_label(fraction)}"
            top, random = f"{edit}_top{suffix}", f"{edit}_random{suffix}"
            run = any(item.arm == random for item in result.effects)
            control = random if run else KEEP
            delay = _effect(result, top, control, LOG_ONSET)
            records.append(
                DoseRecord(
                    edit=edit,
                    fraction=fraction,
                    documents=result.treated_rows[top],
                    delay=_record(delay.effect),
                    strength=_record(_effect(result, top, control, STRENGTH).effect),
                    control=control,
                    control_delay=_record(_effect(result, random, KEEP, LOG_ONSET).effect) if run else None,
                    note=delay.note,
                )
            )
    return tuple(records)


def sizes_record(result: MechanismResult) -> SizesRecord | None:
    """The table of sizes, smallest first; None where the study has one size only."""
    if not result.scales:
        return None
    own = result.study.scale
    sizes = []
    for one in result.scales:
        at = "" if one.name == own else f"@{one.name}"
        sizes.append(
            SizeRecord(
                name=one.name or "own",
                parameters=one.parameters,
                head=one.head,
                transition=one.transition,
                strength=one.strength,
                shared_top=one.shared_top,
                chance=one.chance,
                cost_seconds=one.cost_seconds,
                delay=_shift(result, f"delete_top{at}", f"delete_random{at}"),
                control_delay=_shift(result, f"delete_random{at}", f"{KEEP}{at}"),
                smallest_delay=_shift(result, f"delete_smallest{at}", f"delete_random{at}"),
                notes=_notes(result, at),
            )
        )
    return SizesRecord(
        sizes=tuple(sizes),
        cost_exponent=_known(result.cost),
        cost_reason=result.cost.reason if isinstance(result.cost, Undefined) else "",
        published=tuple(PUBLISHED_GAINS.items()),
        published_own=PUBLISHED_OWN_PATTERNS,
    )


def gain_records(result: MechanismResult) -> tuple[GainRecord, ...]:
    """Every synthetic arm's relative gain, in the order of the sizes."""
    order = {one.name: place for place, one in enumerate(result.scales)}
    return tuple(
        GainRecord(
            size=one.scale or "own",
            arm=one.arm,
            moment=one.moment,
            step=one.step,
            gain=_known(one.gain),
            reason=one.gain.reason if isinstance(one.gain, Undefined) else "",
        )
        for one in sorted(result.gains, key=lambda one: order.get(one.scale, 0))
    )


def icl_records(result: MechanismResult) -> tuple[IclRecord, ...]:
    """One record an in-context-learning score."""
    return tuple(
        IclRecord(
            metric=one.metric,
            runs=one.runs,
            correlation=_known(one.correlation),
            within_arms=_known(one.within_arms),
        )
        for one in result.icl
    )


def written_records(result: MechanismResult) -> tuple[WrittenRecord, ...]:
    """The synthetic text of the study's own model."""
    return tuple(WrittenRecord(arm=one.arm, motifs=one.motifs, examples=one.examples) for one in result.written)


def _effect(result: MechanismResult, arm: str, control: str, metric: str) -> ArmEffect:
    return next(item for item in result.effects if (item.arm, item.control, item.metric) == (arm, control, metric))


def _shift(result: MechanismResult, arm: str, control: str) -> EffectRecord | None:
    known = any((item.arm, item.control) == (arm, control) for item in result.effects)
    return _record(_effect(result, arm, control, LOG_ONSET).effect) if known else None


def _notes(result: MechanismResult, at: str) -> tuple[str, ...]:
    random = f"delete_random{at}"
    shown = {(f"delete_top{at}", random), (f"delete_smallest{at}", random), (random, f"{KEEP}{at}")}
    told = [item.note for item in result.effects if (item.arm, item.control) in shown and item.metric == LOG_ONSET]
    return tuple(dict.fromkeys(filter(None, told)))


def _record(effect: Effect) -> EffectRecord:
    return EffectRecord.model_validate(effect.as_dict())


def _known(effect: Effect | Undefined | None) -> EffectRecord | None:
    return _record(effect) if isinstance(effect, Effect) else None
