"""The design of an emergence study as its report tells it: scales, arms in words, measurements."""

from imprint.emergence.graph import CONTROL
from imprint.emergence.trajectories import TAU
from imprint.interventions.training import TrainingEdit
from imprint.report.emergence_records import ArmRecord, EmergenceDesignRecord, ScaleRecord
from imprint.report.wording import count, exact, listing, percent
from imprint.studies import EmergenceResult, EmergenceStudy
from imprint.studies.emergence import Arm, Scale, architecture_of, held_out_runs, trained_runs

_UNITS = {"z": "heads", "heads": "heads", "neurons": "neurons"}
_ACTIONS = {"ablate": "set to 0", "clamp": "set to {value}", "scale": "multiplied by {factor}"}


def design_record(result: EmergenceResult) -> EmergenceDesignRecord:
    """Scales, arms and measurements as registered."""
    study, training = result.study, result.study.training
    held_out = study.held_out
    scales = [_scale(study, scale, study.seeds) for scale in study.scales]
    if held_out is not None:
        scales.append(_scale(study, held_out.scale, held_out.seeds, held_out=True))
    return EmergenceDesignRecord(
        digest=result.design,
        scales=tuple(scales),
        arms=(
            ArmRecord(name=CONTROL, sets=(), words="trained as it is; every other arm is compared with it"),
            *(ArmRecord(name=arm.name, sets=arm.sets, words=arm_words(study, arm)) for arm in study.interventions),
        ),
        runs=len(trained_runs(study)) + len(held_out_runs(study)),
        steps=training.steps,
        checkpoints=training.checkpoints,
        tokens=training.steps * training.batch * study.world.context,
        items=study.measuring.items,
        early=study.measuring.early,
        tau=TAU,
        margin=study.measuring.margin,
        alpha=result.findings.alpha,
    )


def _scale(study: EmergenceStudy, scale: Scale, seeds: int, *, held_out: bool = False) -> ScaleRecord:
    shape = (
        f"{scale.model_type}, {count(scale.layers, 'layer')} of width {scale.width} with {count(scale.heads, 'head')}"
    )
    parameters = architecture_of(scale, study.world.context).parameters
    return ScaleRecord(name=scale.name, parameters=parameters, shape=shape, seeds=seeds, held_out=held_out)


def arm_words(study: EmergenceStudy, arm: Arm) -> str:
    """What an arm does to its runs, in one sentence without a full stop."""
    return "; ".join([*(edit_words(edit) for edit in arm.edits), *_shares(study, arm), *_optimisation(study, arm)])


def edit_words(edit: TrainingEdit) -> str:
    """What an edit does in the forward passes: "75 % of the heads at L0.z set to 0, drawn by each run's seed"."""
    unit = _UNITS.get(edit.sites[0].rpartition(".")[2], "units")
    chosen = f"all {unit}" if edit.share == 1 else f"{percent(edit.share)} of the {unit}"
    drawn = "" if edit.share == 1 else ", drawn by each run's seed"
    where = listing(edit.sites)
    if edit.action == "sharpen":
        return f"attention logits of {chosen} at {where} multiplied by {exact(edit.factor)}{drawn}{_updates(edit)}"
    done = _ACTIONS[edit.action].format(value=exact(edit.value), factor=exact(edit.factor))
    return f"{chosen} at {where} {done}{drawn}{_updates(edit)}"


def _updates(edit: TrainingEdit) -> str:
    if edit.last is not None:
        return f", in updates {edit.first} to {edit.last - 1}"
    return f", from update {edit.first} on" if edit.first else ""


def _shares(study: EmergenceStudy, arm: Arm) -> list[str]:
    return [
        f"{percent(share)} of the rows are {kind} instead of {percent(study.world.shares.get(kind, 0.0))}"
        for kind, share in arm.shares.items()
    ]


def _optimisation(study: EmergenceStudy, arm: Arm) -> list[str]:
    usual = study.training.optimisation
    return [
        f"{name.replace('_', ' ')} {exact(value)} instead of {exact(getattr(usual, name))}"
        for name, value in arm.optimisation.items()
    ]
