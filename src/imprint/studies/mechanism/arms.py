"""The arms of a mechanism study as steps: the untouched runs, and each edit branched from them at the window's start."""

from collections.abc import Sequence
from dataclasses import dataclass

from imprint.attribution import Attribution, TopRows
from imprint.corpus import FileCorpus, MachineCorpus, PackedCorpus, ShuffledStream, Stream, TrainingCorpus
from imprint.interventions.data import ControlRows, EditedStream, EditKind
from imprint.mechanisms import Trajectory
from imprint.models import Train
from imprint.runs import Step, Store
from imprint.studies.mechanism.config import BOILERPLATE, NOVEL_REPEATS, MechanismStudy
from imprint.studies.mechanism.metrics import KEEP


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One edit of the training stream, and the arm it is compared with."""

    name: str
    kind: EditKind
    rows: Step
    control: str
    is_control: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpora:
    """The packed training and held-out corpora of a study."""

    train: PackedCorpus
    heldout: PackedCorpus


def corpora(study: MechanismStudy) -> Corpora:
    """The study's corpus, with the planted domains, divided by source document."""
    options = study.corpus
    if options.paths:
        base: Step = FileCorpus(paths=options.paths, text_key=options.text_key, domain_key=options.domain_key)
    else:
        base = MachineCorpus(bytes_per_domain=options.bytes_per_domain, seed=options.seed)

    def packed(part: str, documents: int) -> PackedCorpus:
        corpus = TrainingCorpus.model_validate(
            {
                "base": base,
                "part": part,
                "documents": documents,
                "passage_bytes": options.passage_bytes,
                "novel_repeats": options.novel_repeats,
                "boilerplate": options.boilerplate,
                "seed": options.seed,
            }
        )
        return PackedCorpus(corpus=corpus, context=study.architecture.context)

    return Corpora(train=packed("train", options.documents), heldout=packed("heldout", options.heldout_documents))


def seeds(study: MechanismStudy) -> range:
    """The pipeline seeds."""
    return range(study.training.first_seed, study.training.first_seed + study.training.seeds)


def untouched_run(study: MechanismStudy, packed: PackedCorpus, seed: int) -> Train:
    """The whole run of one seed without any edit."""
    training = study.training
    return Train(
        architecture=study.architecture,
        optimisation=training.optimisation,
        packed=packed,
        stream=ShuffledStream(packed=packed, steps=training.steps, batch=training.batch, seed=seed),
        seed=seed,
        checkpoint_every=training.checkpoint_every,
        last_step=training.steps,
    )


def measured(study: MechanismStudy, run: Train, data: Corpora) -> Trajectory:
    """A run with every metric at every checkpoint."""
    return Trajectory(run=run, heldout=data.heldout, probe=study.probe)


def plan_arms(study: MechanismStudy, attribution: Attribution, data: Corpora) -> list[Arm]:
    """All edited arms: the top decile deleted and duplicated, the natural top deleted, and a matched control for each."""
    options = study.interventions
    top = TopRows(attribution=attribution, ranking=study.ranking, fraction=options.fraction)

    def control(kind: str, treated: Step = top) -> ControlRows:
        fields = {
            "treated": treated,
            "packed": data.train,
            "kind": kind,
            "values": attribution,
            "seed": study.corpus.seed,
        }
        return ControlRows.model_validate(fields)

    arms = [Arm(name="delete_top", kind="delete", rows=top, control="delete_random")]
    for kind in dict.fromkeys(("random", *options.controls)):
        arms.append(Arm(name=f"delete_{kind}", kind="delete", rows=control(kind), control=KEEP, is_control=True))
    if "delete_natural" in study.arms:
        natural = TopRows(
            attribution=attribution,
            ranking=study.ranking,
            fraction=options.fraction,
            without_domains=(NOVEL_REPEATS, BOILERPLATE),
        )
        arms.append(Arm(name="delete_natural", kind="delete", rows=natural, control="delete_random"))
    if options.duplicate:
        arms.append(Arm(name="duplicate_top", kind="duplicate", rows=top, control="duplicate_random"))
        arms.append(
            Arm(name="duplicate_random", kind="duplicate", rows=control("random"), control=KEEP, is_control=True)
        )
    return arms


def branch(study: MechanismStudy, arm: Arm, trunk: Train, window: tuple[int, int], top: Step, store: Store) -> Train:
    """One arm of one seed: the trunk's checkpoint at the window's start, continued on the edited stream.

    With an additive budget a duplicating arm has a longer stream, and trains to its end.
    """
    additive = arm.kind == "duplicate" and study.interventions.budget == "additive"
    edited = EditedStream(
        base=trunk.stream,
        rows=arm.rows,
        kind=arm.kind,
        first=window[0],
        last=window[1],
        match=top if arm.kind == "duplicate" else None,
        budget="additive" if additive else "constant",
        seed=trunk.seed,
    )
    last = Stream.load(store.get(edited)).steps if additive else trunk.last_step
    changes = {"stream": edited, "trunk": trunk, "first_step": window[0], "last_step": last, "keep_moments": False}
    return trunk.model_copy(update=changes)


def branches(
    study: MechanismStudy, arms: Sequence[Arm], data: Corpora, window: tuple[int, int], top: Step, store: Store
) -> dict[tuple[str, int], Trajectory]:
    """Every arm of every seed as a measured run, by (arm, seed)."""
    runs = {}
    for seed in seeds(study):
        trunk = untouched_run(study, data.train, seed)
        for arm in arms:
            runs[arm.name, seed] = measured(study, branch(study, arm, trunk, window, top, store), data)
    return runs
