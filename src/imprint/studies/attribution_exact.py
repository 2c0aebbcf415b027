"""AT-IF-2 to AT-IF-8: attribution where the answer is known exactly, as scorecard rows."""

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor
from transformers import PreTrainedModel

from imprint.attribution.engine import Query, likelihood_queries, whole_model
from imprint.attribution.methods import GradientDot, Problem, fit_datamodels
from imprint.attribution.unrolled import Sgd, Stage, Training, language_model_training, parameters_of
from imprint.attribution.unrolled.objectives import NextToken
from imprint.attribution.unrolled.transport import tracin_scores
from imprint.attribution.validation import batch_gap, duplicate_gap
from imprint.models import Architecture
from imprint.stats.lds import lds_by_query, subset_scores
from imprint.studies.scorecard import Row

RIDGE_WORLD, TWO_STAGES, ADDITIVE = "ridge regression", "two-stage run", "additive world"
_VOCABULARY, _CONTEXT = 13, 10
_Line = tuple[str, str, str, str, float, str, bool | None]


def exact_attribution_rows() -> list[Row]:
    """Closed forms, completeness, nulls and invariances; a few CPU-seconds in all."""
    lines = (*_ridge(), *_completeness(), *_additive(), *_two_stages(), *_invariances())
    return [
        Row(
            world=world,
            method=method,
            question=question,
            metric=metric,
            value=float(value),
            gate=gate,
            passed=None if passed is None else bool(passed),
        )
        for world, method, question, metric, value, gate, passed in lines
    ]


def _ridge(rows: int = 400, inputs: int = 6, outputs: int = 3) -> list[_Line]:
    """AT-IF-2 and AT-IF-3: leave-one-out has a closed form, and sums of influence fall short for groups."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, inputs)) @ generator.standard_normal((inputs, inputs))
    truth, ridge = generator.standard_normal((outputs, inputs)), 1e-2 * rows
    y = x @ truth.T + 0.3 * generator.standard_normal((rows, outputs))
    asked = generator.standard_normal((5, inputs))

    def fitted(kept: np.ndarray) -> np.ndarray:
        return np.linalg.solve(x[kept].T @ x[kept] + ridge * np.eye(inputs), x[kept].T @ y[kept]).T

    def losses(weights: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 * ((asked @ (weights - truth).T) ** 2).sum(1))

    everything = np.arange(rows)
    whole = fitted(everything)
    inverse = np.linalg.inv(x.T @ x + ridge * np.eye(inputs))
    residuals, leverage = x @ whole.T - y, (x @ inverse * x).sum(1)
    without = [fitted(np.delete(everything, row)) for row in everything]
    closed = [whole + np.outer(residuals[row], inverse @ x[row]) / (1 - leverage[row]) for row in everything]
    error = max(float(np.abs(one - other).max()) for one, other in zip(without, closed, strict=True))
    change = np.stack([losses(one) - losses(whole) for one in without], axis=1)
    influence = np.einsum("qo,no,qi,ni->qn", asked @ (whole - truth).T, residuals, asked, x @ inverse)
    agreement = float(np.corrcoef(influence.ravel(), change.ravel())[0, 1])
    slope = float((influence * change).sum() / (influence**2).sum())
    top = np.argsort(-influence[0])[: rows // 10]
    shortfall = float((losses(fitted(np.delete(everything, top))) - losses(whole))[0] / influence[0, top].sum())
    group = "true effect of removing the top tenth over the sum of its influence"
    return [
        (RIDGE_WORLD, "leave-one-out", "closed form against retraining", "error", error, "<= 1e-12", error <= 1e-12),
        (RIDGE_WORLD, "influence", "against leave-one-out", "correlation", agreement, ">= 0.99", agreement >= 0.99),
        (RIDGE_WORLD, "influence", "leave-one-out over influence", "slope", slope, "1 to 1.1", 1 <= slope <= 1.1),
        (RIDGE_WORLD, "sum of influence", group, "ratio", shortfall, "> 1.2", shortfall > 1.2),
    ]


def _completeness() -> list[_Line]:
    """AT-IF-4: TracIn of every step adds up to what training did, the better the smaller the rate."""
    lines: list[_Line] = []
    errors = []
    for rate in (1e-3, 1e-2, 1e-1):
        training, queries = _one_stage(Sgd(learning_rate=rate))
        total = float(tracin_scores(training, queries, at="checkpoint")[0].sum())
        true = float((training.values(training.run(), queries) - training.values(training.initial, queries)).sum())
        errors.append(abs(total / true - 1))
        lines.append(
            (
                "tiny language model",
                "TracIn, every step",
                f"sum of scores at rate {rate:g}",
                "error",
                errors[-1],
                "",
                None,
            )
        )
    shrinking = errors[0] < errors[1] < errors[2] and errors[0] < 0.01
    question = "error of the sum at the smallest of three rates, which must be the smallest"
    return [*lines, ("tiny language model", "TracIn, every step", question, "error", errors[0], "< 0.01", shrinking)]


def _additive(rows: int = 100, subsets: int = 400) -> list[_Line]:
    """AT-IF-5 and AT-IF-6: LDS of the oracle, its negative and random scores; datamodels with and without noise."""
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((1, rows))
    kept = generator.random((subsets, rows)) < 0.5
    values = subset_scores(truth, kept).T
    random = generator.standard_normal((300, rows))
    null = np.array([lds_by_query(one[None], kept, values)[0] for one in random])
    right, wrong = (float(lds_by_query(sign * truth, kept, values)[0]) for sign in (1, -1))
    question, margin = "LDS where values are sums", 3 * float(null.std() / len(null) ** 0.5)
    lines: list[_Line] = [
        (ADDITIVE, "oracle", question, "LDS", right, "= 1", abs(right - 1) < 1e-9),
        (ADDITIVE, "negated oracle", question, "LDS", wrong, "= -1", abs(wrong + 1) < 1e-9),
        (
            ADDITIVE,
            "random",
            f"{question}, mean of 300",
            "LDS",
            float(null.mean()),
            f"0 ± {margin:.3f}",
            bool(abs(null.mean()) < margin),
        ),
    ]
    for noise, least in ((0.0, 0.99), (5.0, 0.8)):
        noisy = values + noise * generator.standard_normal(values.shape)
        found, _ = fit_datamodels(kept.astype(np.float64), noisy)
        agreement = float(np.corrcoef(found[0], truth[0])[0, 1])
        words = f"{subsets} runs, {rows} rows, noise {noise:g}"
        lines.append((ADDITIVE, "datamodels", words, "correlation", agreement, f">= {least}", agreement >= least))
    return lines


def _two_stages() -> list[_Line]:
    """AT-IF-7: metagradients of the first stage equal finite differences; identity transport gets worse with later steps."""
    errors = []
    for later in (1, 4, 16):
        training, queries = _staged(later)
        exact = training.metagradients(queries)[0]
        carried = tracin_scores(training, queries, at="final")[0]
        errors.append(float((carried - exact).norm() / exact.norm()))
    numerical = _finite_differences(training, queries)
    worst = float((numerical - exact).abs().max() / exact.abs().max())
    question = "first stage of a run of two"
    growing = errors[0] < errors[1] < errors[2]
    return [
        (
            TWO_STAGES,
            "metagradient",
            f"{question}, against finite differences",
            "error",
            worst,
            "<= 1e-3",
            worst <= 1e-3,
        ),
        *(
            (TWO_STAGES, "TracIn, identity transport", f"{question}, {later} later updates", "error", error, "", None)
            for later, error in zip((1, 4, 16), errors, strict=True)
        ),
        (
            TWO_STAGES,
            "TracIn, identity transport",
            f"{question}, growth of its error from 1 to 16 later updates",
            "ratio",
            errors[-1] / errors[0],
            "> 1, in order",
            growing,
        ),
    ]


def _finite_differences(training: Training, queries: tuple[Query, ...], step: float = 1e-4) -> Tensor:
    rows = training.stages[0].rows
    columns = []
    for row in range(rows):
        shifted = [torch.ones(rows, dtype=torch.float64) for _ in range(2)]
        shifted[0][row] += step
        shifted[1][row] -= step
        up, down = (training.values(training.run([weights, None]), queries) for weights in shifted)
        columns.append((up - down) / (2 * step))
    return torch.stack(columns, dim=1)


def _invariances() -> list[_Line]:
    """AT-IF-8: copies of a row get one score, and the batch size changes none."""
    training, queries = _one_stage(Sgd(learning_rate=0.1))
    tokens, lengths = _rows()
    model = training.holding(training.run())

    def score(order: np.ndarray, batch: int = 64) -> Float64[np.ndarray, "query row"]:
        rows = torch.from_numpy(order)
        problem = Problem(
            model=model, tokens=tokens[rows], lengths=lengths[rows], queries=queries, subspace=whole_model(model)
        )
        return GradientDot(batch=batch).scores(problem)

    copies = duplicate_gap(score, len(tokens), repeated=[1, 4])
    batches = batch_gap(lambda batch: score(np.arange(len(tokens)), batch), [64, 1, 5])
    name, world = "gradient dot", "tiny language model"
    return [
        (world, name, "two copies of a row", "relative difference", copies, "<= 1e-9", copies <= 1e-9),
        (world, name, "batches of 64, 1 and 5", "relative difference", batches, "<= 1e-9", batches <= 1e-9),
    ]


def _tiny(seed: int = 0) -> PreTrainedModel:
    sizes: dict[str, int | float | bool | str]
    sizes = {"vocab_size": _VOCABULARY, "n_positions": _CONTEXT, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_inner": 8}
    still = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "initializer_range": 0.3}
    names = {"bos_token_id": 0, "eos_token_id": 0}
    return Architecture(model_type="gpt2", config=sizes | still | names).initialise(seed).double()


def _rows(count: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, _VOCABULARY, (count, _CONTEXT + 1), generator=generator)
    return tokens, torch.randint(4, _CONTEXT + 1, (count,), generator=generator)


def _one_stage(optimiser: Sgd) -> tuple[Training, tuple[Query, ...]]:
    batches = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7], [0, 2, 4, 6], [1, 3, 5, 7]])
    return language_model_training(_tiny(), *_rows(), batches, optimiser), likelihood_queries(*_rows(2, seed=1))


def _staged(later: int) -> tuple[Training, tuple[Query, ...]]:
    """Four updates on some rows, then `later` updates on others."""
    model, optimiser = _tiny(), Sgd(learning_rate=0.05)
    first = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]]).repeat(2, 1)
    second = torch.tensor([[0, 1, 2], [3, 4, 5]]).repeat(8, 1)[:later]
    stages = (
        Stage(name="first", objective=_next_token(8, 0), batches=first, optimiser=optimiser),
        Stage(name="second", objective=_next_token(6, 2), batches=second, optimiser=optimiser),
    )
    return Training(model=model, initial=parameters_of(model), stages=stages), likelihood_queries(*_rows(2, seed=1))


def _next_token(count: int, seed: int) -> NextToken:
    tokens, lengths = _rows(count, seed)
    return NextToken(tokens=tokens, lengths=lengths)
