"""What the arms' last models know beside the mechanism: foreign text and recall, as rows of the table of trajectories."""

from collections.abc import Sequence

import polars as pl

from imprint.capabilities import DOWNSTREAM_FILE, PERPLEXITY, RECALL, Downstream
from imprint.corpus import FileCorpus, PackedCorpus
from imprint.models import Train
from imprint.runs import Executor, Reporter, Store, read_json
from imprint.studies.mechanism.config import MechanismStudy
from imprint.studies.mechanism.options import PLANTED
from imprint.studies.mechanism.plans import Plan

_SCHEMA = {"arm": pl.String, "seed": pl.Int32, "step": pl.Int64, "metric": pl.String, "value": pl.Float64}


def measure_downstream(
    study: MechanismStudy, plans: Sequence[Plan], store: Store, executor: Executor, reporter: Reporter
) -> pl.DataFrame:
    """One line a run and metric (arm, seed, step, metric, value); none where the study asks for nothing downstream."""
    if study.downstream is None:
        return pl.DataFrame(schema=_SCHEMA)
    runs = {key: run.run for plan in plans for key, run in (plan.kept() | plan.runs(store)).items()}
    steps = [_measure(study, plans[0], run) for run in runs.values()]
    stage = "intervene: what else the models know"
    folders = executor.run(steps, store, progress=reporter, stage=stage, units=len(steps))
    rows = []
    for (arm, seed), run, folder in zip(runs, runs.values(), folders, strict=True):
        found = read_json(folder / DOWNSTREAM_FILE)
        rows += [(arm, seed, run.last_step, name, found[name]) for name in (PERPLEXITY, RECALL) if name in found]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _measure(study: MechanismStudy, plan: Plan, run: Train) -> Downstream:
    options, train = study.downstream, plan.at.data.train
    assert options is not None
    text = None
    if options.text is not None:
        text = PackedCorpus(
            corpus=FileCorpus(paths=(options.text,)), context=train.context, tokenizer=study.corpus.tokenizer
        )
    return Downstream(
        run=run,
        step=run.last_step,
        text=text,
        rows=options.documents,
        passages=train,
        without_domains=PLANTED,
        facts=options.facts,
        questions=options.questions,
        seed=study.corpus.seed,
    )
