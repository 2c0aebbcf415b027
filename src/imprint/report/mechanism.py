"""From a mechanism study's result to the data of its report."""

import math
from collections.abc import Sequence

import numpy as np

from imprint.corpus import Corpus
from imprint.report.answer import answer_lines
from imprint.report.character import character_record, with_intervals
from imprint.report.further_answer import further_lines
from imprint.report.further_arms import (
    dose_records,
    gain_records,
    icl_records,
    is_main,
    sizes_record,
    written_records,
)
from imprint.report.mechanism_records import mechanism_records
from imprint.report.model import (
    ClaimRecord,
    ConcentrationRecord,
    DocumentRecord,
    DomainRecord,
    EffectRow,
    HeadRecord,
    HypothesisRecord,
    MethodRecord,
    MetricNote,
    OnsetRecord,
    ProvenanceRecord,
    ReportData,
    TokenRecord,
    TrajectoryPoint,
    TrustNote,
    WindowRecord,
)
from imprint.report.window import window_record
from imprint.runs import versions
from imprint.stats import benjamini_hochberg
from imprint.studies import BOILERPLATE, INFLUENCE, NOVEL_REPEATS, STRENGTH, MechanismResult, top_documents

ONE_SIZE = (
    "One small model on one corpus: nothing here says that the same data matter at another scale (rung 5 needs two)."
)
LIMITS = (
    "Influence is first-order, at one checkpoint and of one head; the sum over documents is not the effect of removing"
    " them. Only the retrained arms say that.",
    "The ranking was made on the reference seed and the same documents were edited in every seed.",
    "A run that ended before the head emerged is counted at its last step, so its delay is a lower bound.",
    "icl.olsson and icl.mda measure a drop of loss along the context, not few-shot ability; read them beside icl.fewshot."
    " Weaker induction heads have gone with better abstractive in-context learning (HAPAX), and function-vector heads"
    " carry few-shot accuracy in larger models (Yin and Steinhardt 2025).",
    "Control rows are drawn once and are the same in every seed, so intervals over seeds leave out the luck of that draw.",
    "A head is called an induction head for the tokens that the probe draws from; copying of other tokens was not measured.",
)


def report_data(result: MechanismResult, *, command: str, created: str = "") -> ReportData:
    """Everything the report shows, from the study's result alone."""
    character = None if result.character is None else character_record(result.character)
    mechanisms, circuit = mechanism_records(result.location)
    return ReportData(
        title=result.study.title,
        question=f"Which training documents made {result.head} an induction head, and is that causal?",
        answer_lines=(*answer_lines(result), *further_lines(result)),
        claims=tuple(ClaimRecord.model_validate(claim.as_dict()) for claim in result.claims),
        hypotheses=tuple(HypothesisRecord.model_validate(verdict.as_dict()) for verdict in result.verdicts),
        registration=result.registration,
        metrics=(
            MetricNote(name=STRENGTH, note="The strongest head above layer 0; 1 is a perfect induction head."),
            MetricNote(
                name="copy.ablation_effect", note="Positive: mean-ablating the head lowers the copy's log-probability."
            ),
        ),
        trajectories=tuple(
            TrajectoryPoint(**row)
            for row in result.trajectories.iter_rows(named=True)
            if is_main(row["arm"], result) and not row["metric"].startswith("downstream.")
        ),
        onsets=tuple(
            OnsetRecord(arm=arm, seed=seed, step=None if onset.censored else onset.step, metric=STRENGTH)
            for (arm, seed), onset in result.onsets.items()
            if is_main(arm, result)
        ),
        windows=(WindowRecord(start=result.window[0], end=result.window[1]),),
        heads=_heads(result),
        chosen_heads=(result.head,),
        mechanisms=mechanisms,
        circuit=circuit,
        documents=_documents(result),
        domains=with_intervals(_domains(result), character),
        character=character,
        attribution_window=None if result.over_window is None else window_record(result.over_window),
        methods=tuple(
            MethodRecord(
                method=row.method,
                question=row.question,
                metric=row.metric,
                value=row.value,
                low=None if row.effect is None else row.effect.low,
                high=None if row.effect is None else row.effect.high,
                baseline=row.baseline,
                world="this corpus",
            )
            for row in result.methods
        ),
        effects=_effects(result),
        concentration=ConcentrationRecord.model_validate({**result.concentration.as_dict(), "curve": _curve(result)}),
        doses=dose_records(result),
        sizes=sizes_record(result),
        gains=gain_records(result),
        written=written_records(result),
        icl=icl_records(result),
        limits=LIMITS if result.scales else (ONE_SIZE, *LIMITS),
        trust=_trust(result),
        provenance=ProvenanceRecord(
            command=command,
            created=created,
            seconds=tuple({"stage": stage, "seconds": seconds} for stage, seconds in result.seconds.items()),  # type: ignore[misc]
            digests={**result.keys, "registration": result.registration},
            versions=versions(),
            warnings=result.warnings,
        ),
    )


def _heads(result: MechanismResult) -> tuple[HeadRecord, ...]:
    ordinary = float(np.median([head["ablation"]["estimate"] for head in result.location["heads"]]))
    records = []
    for head in result.location["heads"]:
        layer, number = (int(part[1:]) for part in head["head"].split("."))
        for metric, value, null in (
            (STRENGTH, head["prefix_matching"]["estimate"], result.location["null_prefix_95"]),
            ("previous_token", head["previous_token"], result.location["null_previous_95"]),
            ("copy.ablation_effect", head["ablation"]["estimate"], max(ordinary, 0.0)),
        ):
            records.append(HeadRecord(metric=metric, layer=layer, head=number, value=value, null=null))
    return tuple(records)


def _documents(result: MechanismResult) -> tuple[DocumentRecord, ...]:
    texts = {document.id: document for document in Corpus.load(result.texts)}
    rows = top_documents(result.order, result.packed, per_domain=3, overall=12)
    place = {int(row): rank for rank, row in enumerate(result.order, start=1)}
    influence = result.scores.of(INFLUENCE)
    probes = [name for name in result.scores.queries if "/" not in name]
    return tuple(
        DocumentRecord(
            rank=place[row],
            id=str(result.packed.row_ids[row]),
            domain=str(result.packed.row_domains[row]),
            score=float(influence[row]),
            probe_scores={name: float(result.scores.of(name)[row]) for name in probes},
            tokens=_tokens(result, row, texts[str(result.packed.row_ids[row])].text),
            source=texts[str(result.packed.row_ids[row])].source,
        )
        for row in rows
    )


def _tokens(result: MechanismResult, row: int, text: str) -> tuple[TokenRecord, ...]:
    """The row's tokens with the influence that flows through each position; BOS first, the last label without a score."""
    length = int(result.packed.lengths[row])
    assert result.scores.tokens is not None
    values = result.scores.tokens[result.scores.queries.index(INFLUENCE), row]
    spans = result.packed.offsets[row]
    pieces = ["⟨bos⟩", *(text[start:end] for start, end in _fresh(spans[1 : length + 1]))]
    scores = [*values[:length].tolist(), 0.0]
    return tuple(TokenRecord(text=piece, value=float(value)) for piece, value in zip(pieces, scores, strict=True))


def _fresh(spans: np.ndarray) -> Sequence[tuple[int, int]]:
    """Character spans in which the later bytes of one character are empty, so that it shows once."""
    fresh, reached = [], -1
    for start, end in spans.tolist():
        fresh.append((start, end) if end > reached else (start, start))
        reached = max(reached, end)
    return fresh


def _domains(result: MechanismResult) -> tuple[DomainRecord, ...]:
    return tuple(
        DomainRecord(
            domain=share.domain,
            documents=share.documents,
            corpus_share=share.corpus_share,
            influence_share=share.influence_share,
            enrichment=share.influence_share / share.corpus_share,
            planted=share.domain in (NOVEL_REPEATS, BOILERPLATE),
        )
        for share in result.domains
    )


def _effects(result: MechanismResult) -> tuple[EffectRow, ...]:
    adjusted = benjamini_hochberg(np.array([item.p for item in result.effects]))
    return tuple(
        EffectRow(
            arm=item.arm,
            control=item.control,
            metric=item.metric,
            estimate=item.effect.estimate,
            low=item.effect.low,
            high=item.effect.high,
            n=item.effect.n,
            unit=item.effect.unit,
            p=item.p,
            q=float(q),
            is_control=item.is_control,
            note=item.note,
        )
        for item, q in zip(result.effects, adjusted, strict=True)
        if is_main(item.arm, result)
    )


def _curve(result: MechanismResult, points: int = 100) -> tuple[tuple[float, float], ...]:
    """Cumulative share of the positive influence against the fraction of documents, largest first."""
    positive = np.sort(np.clip(result.scores.of(INFLUENCE), 0, None))[::-1]
    total = float(positive.sum())
    if not math.isfinite(total) or total <= 0:
        return ()
    cumulative = np.cumsum(positive) / total
    where = np.unique(np.linspace(0, len(positive) - 1, points).astype(int))
    return tuple((float((index + 1) / len(positive)), float(cumulative[index])) for index in where)


def _trust(result: MechanismResult) -> tuple[TrustNote, ...]:
    checks = ", ".join(f"{name} {value:.2g}" for name, value in result.scores.checks.items())
    return (
        TrustNote(
            subject="EK-FAC influence",
            text="Blocks and positions are taken as independent; an undertrained model breaks both. The same probe without"
            " curvature is printed beside it. Scores change with the head's parametrisation (W_Q M, W_K M^-T).",
        ),
        TrustNote(subject="Self-checks of this run (relative errors; split_half is a Spearman)", text=checks),
        TrustNote(
            subject="Cheap baselines",
            text="Where loss, gradient norm or embedding similarity rank the planted cause as well as influence does,"
            " influence has shown nothing that they do not.",
        ),
        TrustNote(
            subject="p-values",
            text="Five seeds allow no two-sided sign-flip p below .0625; the verdicts use the registered direction (.031).",
        ),
    )
