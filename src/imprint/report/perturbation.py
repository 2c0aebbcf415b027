"""From a perturbation study's result to the data of its report."""

import numpy as np

from imprint.corpus import CORPUS_FILE, Corpus, Packed
from imprint.corpus.clusters import CHARACTER_RECORDS
from imprint.report.influence_records import (
    AbilityRecord,
    CellRecord,
    ClusterRecord,
    DosePoint,
    FamilyRecord,
    InfluenceRecord,
    ValidationRecord,
    VariationRecord,
)
from imprint.report.model import ClaimRecord, HypothesisRecord, ProvenanceRecord, ReportData, TrustNote
from imprint.report.perturbation_answer import influence_lines
from imprint.report.records import EffectRecord
from imprint.runs import read_json, versions
from imprint.stats import Effect, bootstrap_mean, paired_difference, specificity
from imprint.stats.undefined import Estimate, Undefined
from imprint.studies import PerturbationResult
from imprint.studies.perturbation import LAYER_FAMILY, Cell, FamilyFinding, Responses, TextCheck, accuracy_of, family_q

EXAMPLES = 3
SHEET = "sheet.html"
LIMITS = (
    "Perturbing a representation shows what the trained model uses, not what its training data taught it: only retraining"
    " without a cluster shows that (rung 4), and `imprint calibrate` says how often the two agree in a planted world.",
    "The clusters are text that stands for training data; whether the model was trained on this text is not known.",
    "Few draws of each matched control were made, so their spread is pooled over clusters; p says how often a perturbation that"
    " is itself such a draw would differ as much.",
    "Questions (and twins of a question together) are the units of every interval: another draw of the same benchmark is what"
    " they speak of, not other benchmarks.",
    "The first token of every text, where most models keep their attention sink, is never edited.",
    "Abilities near chance cannot fall: read the log-probability of the gold answer beside the accuracy.",
)
TRUST = (
    TrustNote(
        subject="Φ",
        text="median over heterogeneous perturbations of harm minus the matched control's; read the families and the"
        " agreement of signs before the number.",
    ),
    TrustNote(
        subject="AIS",
        text="a share of the accuracy: undefined at 0, explodes near chance, and random answers have a negative one.",
    ),
    TrustNote(
        subject="gradient signs",
        text="they use the gold answers, so they are an attack: evidence of fragile tokens, not of what the data is for.",
    ),
)


def perturbation_report(result: PerturbationResult, *, command: str, created: str = "") -> ReportData:
    """Everything the report shows, from the study's result alone."""
    return ReportData(
        title=result.study.title,
        question="Which clusters of text do this model's abilities rest on, and do controls agree?",
        answer_lines=influence_lines(result),
        sign_convention="Positive harm: the perturbation lowered the ability.",
        claims=tuple(ClaimRecord.model_validate(claim.as_dict()) for claim in result.claims),
        hypotheses=tuple(HypothesisRecord.model_validate(verdict.as_dict()) for verdict in result.verdicts),
        registration=result.registration,
        influence=influence_record(result),
        limits=LIMITS,
        trust=TRUST,
        provenance=ProvenanceRecord(
            command=command,
            created=created,
            seconds=tuple({"stage": stage, "seconds": seconds} for stage, seconds in result.seconds.items()),  # type: ignore[misc]
            digests={**result.keys, "registration": result.registration},
            versions=versions(),
            warnings=result.warnings,
        ),
    )


def influence_record(result: PerturbationResult) -> InfluenceRecord:
    """The Data Influence Matrix with all that stands behind it."""
    seed = result.study.perturbations.seed
    return InfluenceRecord(
        model=result.study.model.name,
        site=result.space.site,
        abilities=_abilities(result),
        clusters=_clusters(result),
        cells=_cells(result),
        validation=tuple(_validation(check, result, seed) for check in result.checks),
        variations=(*_layers(result, seed), *_token_shares(result, seed)),
        families=tuple(result.study.perturbations.families),
        references=_references(result),
        sheet=SHEET,
    )


def _abilities(result: PerturbationResult) -> tuple[AbilityRecord, ...]:
    return tuple(
        AbilityRecord(
            name=one.ability,
            items=len(one.base),
            accuracy=_record(accuracy_of(one)),
            chance=one.chance or None,
            log_odds=_mean(one.base, "log-probability of the gold answer among the options (nats)"),
            control=one.ability in result.study.abilities.controls,
        )
        for one in (cell.families[0].responses for cell in result.cells if cell.cluster == result.cells[0].cluster)
    )


def _mean(values: np.ndarray, metric: str) -> EffectRecord:
    return _record(bootstrap_mean(values, seed=0, unit="item", control_name="none", metric=metric, draws=1000))


def _record(effect: Effect) -> EffectRecord:
    return EffectRecord.model_validate(effect.as_dict())


def _estimate(value: Estimate) -> tuple[EffectRecord | None, str]:
    return (None, value.reason) if isinstance(value, Undefined) else (_record(value), "")


def _clusters(result: PerturbationResult) -> tuple[ClusterRecord, ...]:
    described = {one["name"]: one for one in read_json(result.characters / CHARACTER_RECORDS)}
    packed, texts = Packed.load(result.passages), Corpus.load(result.passages / CORPUS_FILE)
    return tuple(_cluster(result, name, described[name], packed, texts) for name in result.clusters)


def _cluster(
    result: PerturbationResult, name: str, described: dict[str, object], packed: Packed, texts: Corpus
) -> ClusterRecord:
    facts = result.space.summary[name]
    measures: dict[str, dict[str, float]] = described["measures"]  # type: ignore[assignment]
    words: list[dict[str, str]] = described["distinctive"]  # type: ignore[assignment]
    traits = {key: float(value["estimate"]) for key, value in measures.items()}
    return ClusterRecord(
        name=name,
        method=result.study.clusters.method.kind,
        documents=int(str(described["documents"])),
        tokens=int(packed.lengths[packed.row_domains == name].sum()),
        share=result.shares[name],
        words=tuple(word["word"] for word in words[:12]),
        traits=traits,
        examples=tuple(one.text for one in texts if one.domain == name)[:EXAMPLES],
        site=result.space.site,
        dimensions=facts["dimensions"],
        strongest=tuple((int(dim), float(d)) for dim, d in facts["strongest"]),
        probe=EffectRecord.model_validate(facts["probe"]),
        selectivity=facts["selectivity"]["estimate"],
        explained=facts["explained"],
        distances={
            ability: EffectRecord.model_validate(found[name]["distance"]) for ability, found in result.distances.items()
        },
    )


def _cells(result: PerturbationResult) -> tuple[CellRecord, ...]:
    matrix = result.matrix
    table = np.array(
        [[_of(result, row, column).phi.estimate for column in matrix.abilities] for row in matrix.clusters]
    )
    specific = specificity(table) if table.shape[1] > 1 else None
    return tuple(
        _cell(
            _of(result, cluster, ability),
            result,
            row,
            column,
            None if specific is None else float(specific[row, column]),
        )
        for row, cluster in enumerate(matrix.clusters)
        for column, ability in enumerate(matrix.abilities)
    )


def _of(result: PerturbationResult, cluster: str, ability: str) -> Cell:
    return next(cell for cell in result.cells if (cell.cluster, cell.ability) == (cluster, ability))


def _cell(cell: Cell, result: PerturbationResult, row: int, column: int, specific: float | None) -> CellRecord:
    matrix, adjusted = result.matrix, family_q([one for cell in result.cells for one in cell.families])
    low, high = (float(part[row, column]) for part in matrix.quartiles)
    return CellRecord(
        cluster=cell.cluster,
        ability=cell.ability,
        phi=cell.phi.estimate,
        low=cell.phi.low,
        high=cell.phi.high,
        quartiles=(low, high),
        mean_ais=cell.mean_ais,
        mean_ais_corrected=cell.mean_ais_corrected,
        agreement=cell.agreement,
        specificity=specific,
        p=float(matrix.p[row, column]),
        q=float(matrix.q[row, column]),
        families=tuple(_family(one, adjusted) for one in cell.families),
        note="" if cell.counted == cell.families else "gradient signs use the answers and do not count in Φ",
    )


def _family(one: FamilyFinding, adjusted: dict[tuple[str, str, str], float]) -> FamilyRecord:
    raw, why = _estimate(one.impact.ais)
    corrected, _ = _estimate(one.impact.corrected)
    half, no_half = _estimate(one.shape.ec50)
    return FamilyRecord(
        family=one.responses.family,
        points=_points(one),
        harm=_record(one.beyond),
        ais=raw,
        ais_note=why,
        ais_corrected=corrected,
        mcnemar_p=one.impact.p if one.impact.test == "exact McNemar" else None,
        trend_p=one.shape.p,
        half_dose=half,
        half_dose_note=no_half,
        threshold=_threshold(one),
        control=one.responses.matched,
        p=one.p,
        q=adjusted[one.responses.cluster, one.responses.ability, one.responses.family],
    )


def _points(one: FamilyFinding) -> tuple[DosePoint, ...]:
    controls = dict(zip(one.responses.compared, one.control_harm, strict=False))
    points = []
    for place, (dose, harm) in enumerate(zip(one.responses.doses, one.harm, strict=True)):
        control = controls.get(place)
        points.append(
            DosePoint(
                dose=dose,
                harm=harm.estimate,
                low=harm.low,
                high=harm.high,
                control=None if control is None else control.estimate,
                control_low=None if control is None else control.low,
                control_high=None if control is None else control.high,
                accuracy=float(one.responses.target_correct[place].mean()),
            )
        )
    return tuple(points)


def _threshold(one: FamilyFinding) -> str:
    if one.threshold is None:
        return "not tested: a change-point needs five doses or more"
    test = one.threshold
    theta = "" if isinstance(test.threshold, Undefined) else f", at dose {test.threshold.estimate:.3g}"
    return f"{test.answer}{theta} (best model: {test.winner}; change-point ahead by {test.delta:.1f} BIC)"


def _validation(check: TextCheck, result: PerturbationResult, seed: int) -> ValidationRecord:
    own, general = check.own(seed=seed), check.general(seed=seed)
    beyond, specific = check.beyond_control(seed=seed), check.specific(seed=seed)
    moved, drifted = check.changes.get("attention"), check.changes.get("drift")
    untouched = check.changes.get("attention_control")
    return ValidationRecord(
        cluster=check.cluster,
        family=check.family,
        dose=check.dose,
        perplexity_cluster=_record(own),
        perplexity_general=_record(general),
        attention=None if moved is None else EffectRecord.model_validate(moved),
        drift=None if drifted is None else EffectRecord.model_validate(drifted),
        untargeted=_untargeted(check, result),
        passed=check.passed,
        note=f"beyond its control: own text {beyond.estimate:+.3f} [{beyond.low:+.3f}, {beyond.high:+.3f}], and more than other"
        f" text by {specific.estimate:+.3f} [{specific.low:+.3f}, {specific.high:+.3f}] nats a token"
        + ("" if untouched is None else f"; attention under the control {untouched['estimate']:.3f}"),
    )


def _untargeted(check: TextCheck, result: PerturbationResult) -> EffectRecord | None:
    """Harm to the first control ability beyond the matched random perturbation."""
    controls = result.study.abilities.controls
    cells = [cell for cell in result.cells if cell.cluster == check.cluster and cell.ability in controls[:1]]
    families = [one for cell in cells for one in cell.families if one.responses.family == check.family]
    return _record(families[0].beyond) if families else None


def _layers(result: PerturbationResult, seed: int) -> list[VariationRecord]:
    """The largest dose at every layer, the main site's among them."""
    elsewhere = [
        _variation(one, "layer", site, 0, seed) for site, responses in result.layers.items() for one in responses
    ]
    here = [
        _variation(one.responses, "layer", result.space.site, -1, seed)
        for cell in result.cells
        for one in cell.families
        if elsewhere and one.responses.family == LAYER_FAMILY
    ]
    return [*here, *elsewhere]


def _token_shares(result: PerturbationResult, seed: int) -> list[VariationRecord]:
    return [
        _variation(one, "share of tokens", f"{share:.1%}", place, seed)
        for one in result.token_shares
        for place, share in enumerate(one.doses)
    ]


def _variation(one: Responses, varied: str, value: str, place: int, seed: int) -> VariationRecord:
    def effect(values: np.ndarray) -> EffectRecord:
        nothing = np.zeros_like(values)
        return _record(
            paired_difference(values, nothing, seed=seed, unit="item", control_name="the unperturbed model", draws=1000)
        )

    control = None if one.control is None else effect(one.control_harm[place])
    return VariationRecord(
        cluster=one.cluster,
        ability=one.ability,
        varied=varied,
        value=value,
        harm=effect(one.harm[place]),
        control=control,
    )


def _references(result: PerturbationResult) -> tuple[str, ...]:
    lines = ["Full model: the unperturbed model, on the same items in the same batches."]
    for one in result.everything:
        doses = ", ".join(
            f"dose {dose:g}: {harm.estimate:+.3f}" for dose, harm in zip(one.responses.doses, one.harm, strict=True)
        )
        lines.append(
            f"Noise in every dimension of every token, {one.responses.ability}: harm in nats an item at {doses}."
        )
    return tuple(lines)
