"""Attribution over a window of training: agreement of probes and checkpoints, transfer between heads, and rate over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imprint.attribution import (
    Attribution,
    EkfacOptions,
    HeadScores,
    HeadsTransfer,
    Scores,
    TimeBins,
    TransferMatrix,
    WindowAgreement,
    time_bins,
    transfer_matrix,
    window_agreement,
)
from imprint.corpus import Packed, Stream
from imprint.mechanisms import ProbeOptions
from imprint.models import Train
from imprint.runs import Executor, Reporter, Step, Store, silent

PREVIOUS_TOKEN = "previous token"
"""The role whose heads are asked about their attention to the position before as well."""
INFLUENCE = "contrastive"
"""The probe whose positive influence is followed over time."""
BINS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowFindings:
    """How far the influence on one head depends on the probe, the checkpoint and the head, and when its rows were shown.

    Trust: see `window_agreement`, `transfer_matrix` and `time_bins`; all of it is of one run.
    """

    head: str
    steps: tuple[int, ...]
    """The checkpoints that were scored."""
    main: int
    """The checkpoint whose ranking the study uses; heads are compared there."""
    rows: int
    fraction: float
    """Share of the rows that a top holds."""
    roles: Mapping[str, str]
    """Of every head, "" for none."""
    agreement: WindowAgreement
    transfer: Mapping[str, TransferMatrix]
    """By probe; previous-token heads have a second line, of their own probe, named "<head> (previous token)"."""
    time: TimeBins
    """Over the steps of the window, with the influence at the main checkpoint."""
    checks: Mapping[str, float]
    """Self-checks of the pass over all heads."""
    keys: Mapping[str, str]
    """Of the results: "attribution/<step>" and "heads"."""


def window_findings(
    run: Train,
    packed: Step,
    checkpoints: Sequence[int],
    main: int,
    head: str,
    roles: Sequence[Mapping[str, Any]],
    *,
    probe: ProbeOptions,
    options: EkfacOptions,
    first: int,
    last: int,
    fraction: float,
    store: Store,
    executor: Executor,
    reporter: Reporter = silent,
    seed: int = 0,
) -> WindowFindings:
    """Score (or read) every checkpoint and every head, and compare; `roles` are the heads of `location.json`.

    `main` is scored in any case. Time is followed over the stream's steps [first, last). Attributions with the study's
    own fields are shared with it.

    Raises:
        ConfigError: a checkpoint that the run does not keep.
        InputError: steps outside the stream, or a model of which at most one head tells rows apart.
        SelfCheckFailed: an attribution's self-check fails, as it may long before or after the transition.
    """
    steps = tuple(sorted({*checkpoints, main}))
    named = {str(one["head"]): str(one["role"]) for one in roles}
    early = tuple(name for name, role in named.items() if role == PREVIOUS_TOKEN)
    fields = {"run": run, "packed": packed, "probe": probe, "options": options}
    scored = {step: Attribution.model_validate({**fields, "step": step, "head": head}) for step in steps}
    heads = HeadsTransfer.model_validate({**fields, "step": main, "previous_token": early})
    rows = Packed.load(store.get(packed))
    passes = len(steps) + 1 + bool(early)
    executor.run(
        [*scored.values(), heads],
        store,
        progress=reporter,
        stage="attribute: checkpoints of the window, and every head",
        units=passes * (len(rows) + min(len(rows), options.max_rows)),
    )
    found = {step: Scores.load(store.path(step_of)) for step, step_of in scored.items()}
    by_head = HeadScores.load(store.path(heads))
    stream = Stream.load(store.get(run.stream))
    return WindowFindings(
        head=head,
        steps=steps,
        main=main,
        rows=len(rows),
        fraction=fraction,
        roles=named,
        agreement=window_agreement(found, fraction=fraction, rates=_rates(run, steps), groups=rows.row_domains),
        transfer=_transfer(by_head, named, rows, fraction, seed),
        time=time_bins(
            found[main].of(INFLUENCE),
            stream.rows,
            first=first,
            last=last,
            bins=min(BINS, last - first),
            weights=stream.weights,
            seed=seed,
        ),
        checks=by_head.checks,
        keys={**{f"attribution/{step}": one.key for step, one in scored.items()}, "heads": heads.key},
    )


def _rates(run: Train, steps: Sequence[int]) -> dict[int, float]:
    """The learning rate of the update that each checkpoint ends with."""
    return {step: run.optimisation.rate(max(0, step - 1)) for step in steps}


def _transfer(
    scores: HeadScores, roles: Mapping[str, str], packed: Packed, fraction: float, seed: int
) -> dict[str, TransferMatrix]:
    """The matrix of each induction probe, with the previous-token heads' own probe as further lines."""
    own = "previous_token"
    further = (
        {f"{head} ({PREVIOUS_TOKEN})": rows for head, rows in scores.of(own).items()} if own in scores.queries else {}
    )
    return {
        query: transfer_matrix(
            {**scores.of(query), **further}, roles, fraction=fraction, documents=packed.document, seed=seed
        )
        for query in scores.queries
        if query != own
    }
