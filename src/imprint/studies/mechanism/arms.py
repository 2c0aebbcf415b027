"""The arms of a mechanism study as steps: the untouched runs, and each edit branched from them at the window's start."""

from collections.abc import Sequence
from dataclasses import dataclass

from imprint.attribution import Attribution, TopRows
from imprint.corpus import (
    FileCorpus,
    JoinedPacked,
    MachineCorpus,
    PackedCorpus,
    ShuffledStream,
    Stream,
    TrainingCorpus,
)
from imprint.interventions.data import ControlRows, EditedStream, EditKind
from imprint.mechanisms import Trajectory
from imprint.models import Train
from imprint.runs import Step, Store
from imprint.studies.mechanism.arm_names import edits
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.metrics import KEEP, dose_label
from imprint.studies.mechanism.options import PLANTED


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One edit of the training stream, and the arm it is compared with."""

    name: str
    kind: EditKind
    rows: Step
    control: str
    is_control: bool = False
    against: tuple[str, ...] = ()
    """Further arms that it is set beside, if they are run."""
    match: Step | None = None
    """The rows whose number of presentations in the window a duplication makes."""
    share: float | None = None
    """The share of the window's presentations that inserted rows take."""
    packed: PackedCorpus | JoinedPacked | None = None
    """The corpus that holds inserted rows; None: the study's own."""


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
        return PackedCorpus(corpus=corpus, context=study.architecture.context, tokenizer=options.tokenizer)

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
        device=training.device,
        last_step=training.steps,
    )


def measured(study: MechanismStudy, run: Train, data: Corpora) -> Trajectory:
    """A run with every metric at every checkpoint."""
    return Trajectory(run=run, heldout=data.heldout, probe=study.probe)


def plan_arms(study: MechanismStudy, attribution: Attribution, data: Corpora) -> list[Arm]:
    """All edits of documents: the highest-ranked ones at every share, and a matched control for each."""
    options = study.interventions
    main = _Edits(study=study, attribution=attribution, data=data, fraction=options.fraction)
    arms = [main.of_top("delete")]
    arms += [main.of_control("delete", kind) for kind in dict.fromkeys(("random", *options.controls))]
    if "delete_natural" in study.arms:
        natural = main.top.model_copy(update={"without_domains": PLANTED})
        arms.append(Arm(name="delete_natural", kind="delete", rows=natural, control="delete_random_natural"))
        arms.append(main.of_control("delete", "random", treated=natural, without_domains=PLANTED))
    for kind in edits(options)[1:]:
        arms += [main.of_top(kind), main.of_control(kind, "random")]
    for fraction in options.fractions:
        dose = _Edits(
            study=study, attribution=attribution, data=data, fraction=fraction, suffix=f"_{dose_label(fraction)}"
        )
        arms += [dose.of_top("delete"), dose.of_control("delete", "random")]
        arms += [dose.of_top(kind, control=KEEP) for kind in edits(options)[1:]]
    return arms


@dataclass(frozen=True, kw_only=True, slots=True)
class _Edits:
    """The edits of one share of the documents."""

    study: MechanismStudy
    attribution: Attribution
    data: Corpora
    fraction: float
    suffix: str = ""

    @property
    def top(self) -> TopRows:
        return TopRows(attribution=self.attribution, ranking=self.study.ranking, fraction=self.fraction)

    def of_top(self, kind: EditKind, *, control: str = "") -> Arm:
        ladder = () if self.suffix or kind != "delete" else self.study.interventions.controls
        return Arm(
            name=f"{kind}_top{self.suffix}",
            kind=kind,
            rows=self.top,
            control=control or f"{kind}_random{self.suffix}",
            against=tuple(f"delete_{name}" for name in ladder),
            match=self._match(kind),
        )

    def of_control(
        self, kind: EditKind, matched: str, *, treated: TopRows | None = None, without_domains: tuple[str, ...] = ()
    ) -> Arm:
        fields = {
            "treated": treated or self.top,
            "packed": self.data.train,
            "kind": matched,
            "values": self.attribution,
            "without_domains": without_domains,
            "seed": self.study.corpus.seed,
        }
        rows = ControlRows.model_validate(fields)
        name = f"{kind}_{matched}{'_natural' if without_domains else ''}{self.suffix}"
        return Arm(name=name, kind=kind, rows=rows, control=KEEP, is_control=True, match=self._match(kind))

    def _match(self, kind: EditKind) -> TopRows | None:
        return self.top if kind == "duplicate" else None


def branch(study: MechanismStudy, arm: Arm, trunk: Train, window: tuple[int, int], store: Store) -> Train:
    """One arm of one seed: the trunk's checkpoint at the window's start, continued on the edited stream.

    With an additive budget a duplicating arm has a longer stream, and trains to its end.
    """
    additive = arm.kind == "duplicate" and arm.share is None and study.interventions.budget == "additive"
    edited = EditedStream(
        base=trunk.stream,
        rows=arm.rows,
        kind=arm.kind,
        first=window[0],
        last=window[1],
        match=arm.match,
        share=arm.share,
        budget="additive" if additive else "constant",
        seed=trunk.seed,
    )
    last = Stream.load(store.get(edited)).steps if additive else trunk.last_step
    changes = {
        "stream": edited,
        "packed": arm.packed or trunk.packed,
        "trunk": trunk,
        "first_step": window[0],
        "last_step": last,
        "keep_moments": False,
    }
    return trunk.model_copy(update=changes)


def branches(
    study: MechanismStudy, arms: Sequence[Arm], data: Corpora, window: tuple[int, int], store: Store
) -> dict[tuple[str, int], Trajectory]:
    """Every arm of every seed as a measured run, by (arm, seed)."""
    runs = {}
    for seed in seeds(study):
        trunk = untouched_run(study, data.train, seed)
        for arm in arms:
            runs[arm.name, seed] = measured(study, branch(study, arm, trunk, window, store), data)
    return runs
