"""`imprint predict --history H.parquet --questions Q.parquet --out P.parquet`: will an ability emerge by a later scale?"""

from collections import Counter
from pathlib import Path

from imprint.cli.output import print_json, print_lines, print_table
from imprint.errors import OutputError


def predict(
    *,
    history: Path,
    questions: Path,
    out: Path = Path("predictions.parquet"),
    seed: int = 0,
    json: bool = False,
) -> None:
    """For every question the probability that the ability is there at the horizon, given its scores up to the origin.

    The predictor learns from the history alone. The answer has a row a question: question_id, p, p_low, p_high, model;
    model is "abstain" where the history says nothing of the curve (p is then how often such abilities are there).

    Args:
        history: Trajectories (Parquet or CSV): source, family, model, variant, params, tokens, flops, step, task, shots,
            metric, score, n, chance.
        questions: Questions (Parquet or CSV): question_id, source, family, task, shots, variant, axis (params, tokens or
            flops), origin, horizon (raw scales).
        out: Parquet (or .csv) file for the answers.
        seed: Seed of samples and members.
        json: Print a summary as JSON and nothing else.
    """
    from imprint.emergence.predictor import predict_table, read_questions
    from imprint.emergence.trajectories import read_table

    found = predict_table(read_table(history), read_questions(questions), seed=seed, name=str(history))
    _write(found.table, out)
    reasons = Counter(answer.reason for answer in found.predictions if answer.reason)
    if json:
        print_json(found.summary() | {"out": str(out)})
        return
    print_table(f"{len(found.predictions)} questions", ("model", "questions", "mean p"), found.rows())
    print_lines([f"abstained on {count}: {reason}" for reason, count in reasons.most_common(5)])
    print_lines([f"answers in {out}"])


def _write(table: object, out: Path) -> None:
    import polars as pl

    assert isinstance(table, pl.DataFrame)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        table.write_csv(out) if out.suffix == ".csv" else table.write_parquet(out)
    except OSError as error:
        raise OutputError(
            f"'{out}' cannot be written ({error.strerror or error}); choose another with --out"
        ) from error
