"""The predictor on planted worlds: it finds what is there, claims nothing where there is nothing, and abstains."""

import numpy as np
import polars as pl
import pytest

from imprint.emergence.predictor import AxisPredictor, predict_table, questions_of
from imprint.emergence.trajectories import Question, curves, trajectories
from imprint.errors import InputError
from imprint.stats import auc
from planted_curves import asked, planted_table, row

LIMIT = 3e8


@pytest.fixture(scope="module")
def world():
    table = planted_table(families=4, tasks=24, sizes=8, seed=1)
    questions = asked(table, limit=LIMIT)
    return table.filter(pl.col("params") <= LIMIT), questions


@pytest.fixture(scope="module")
def answers(world):
    history, questions = world
    return predict_table(history, questions_of(questions.drop("answer")))


def p_of(answers):
    return answers.table["p"].to_numpy()


def test_later_scales_are_predicted_better_than_by_the_base_rate(world, answers):
    truth = world[1]["answer"].to_numpy().astype(float)
    p = p_of(answers)
    assert auc(p, truth == 1) > 0.8
    assert np.mean((p - truth) ** 2) < truth.mean() * (1 - truth.mean())


def test_the_answer_has_the_promised_columns_and_ordered_intervals(world, answers):
    table = answers.table
    assert table.columns == ["question_id", "p", "p_low", "p_high", "model"]
    assert table["question_id"].to_list() == world[1]["question_id"].to_list()
    assert ((table["p_low"] < table["p"]) & (table["p"] < table["p_high"])).all()
    assert ((table["p_low"] >= 0) & (table["p_high"] <= 1)).all()


def test_the_same_history_in_any_order_gives_the_same_answers(world, answers):
    history, questions = world
    shuffled = history[np.random.default_rng(0).permutation(history.height)]
    again = predict_table(shuffled, questions_of(questions.drop("answer")))
    assert p_of(again) == pytest.approx(p_of(answers), abs=1e-12)


def test_shuffled_answers_teach_nothing(world):
    """AT-EM-6: with scores shuffled over tasks and scales the forecast is no better than chance."""
    history, questions = world
    order = np.random.default_rng(3).permutation(history.height)
    shuffled = history.with_columns(history["score"][order], history["chance"][order])
    said = p_of(predict_table(shuffled.with_columns(chance=0.25), questions_of(questions.drop("answer"))))
    truth = questions["answer"].to_numpy()
    assert 0.25 < auc(said, truth) < 0.75


def test_what_was_never_seen_is_abstained_on_with_a_probability(world):
    history, questions = world
    first = questions.drop("answer").head(1)
    changed = [
        first.with_columns(question_id=pl.lit("task"), task=pl.lit("unheard of")),
        first.with_columns(question_id=pl.lit("family"), family=pl.lit("f99")),
        first.with_columns(question_id=pl.lit("scale"), horizon=pl.lit(1e13)),
        first,
    ]
    found = predict_table(history, questions_of(pl.concat(changed)))
    models = dict(zip(found.table["question_id"], found.table["model"], strict=True))
    assert [models[name] for name in ("task", "family", "scale")] == ["abstain"] * 3
    assert models[first["question_id"][0]] != "abstain"
    assert all(0 < p < 1 for p in p_of(found))
    assert all(one.reason for one in found.predictions[:3])


def test_scores_beyond_the_origin_do_not_change_the_features_of_a_question(world):
    known = curves(trajectories(world[0]), "params")
    fitted = AxisPredictor.fit(known)
    asked_early = [Question(curve=0, count=2, horizon=9.0, emerged=False, z=0.0)]
    whole = fitted.features(asked_early)
    cut = AxisPredictor.fit(known[1:], asked=[known[0]])
    place = next(index for index, curve in enumerate(cut.curves) if curve.key == known[0].key)
    own = cut.features([Question(curve=place, count=2, horizon=9.0, emerged=False, z=0.0)])
    past = slice(0, 12)  # the curve's own past
    assert whole[0, past] == pytest.approx(own[0, past], nan_ok=True)


def test_one_class_only_is_refused(world):
    history, questions = world
    flat = history.with_columns(chance=0.0, score=pl.col("params").rank() / 1e6)
    with pytest.raises(InputError, match="one class only"):
        predict_table(flat, questions_of(questions.drop("answer").head(1)))


def test_a_tiny_history_still_gets_an_answer():
    table = planted_table(families=1, tasks=6, sizes=5, seed=0)
    questions = asked(table, limit=1e8)
    assert not questions.is_empty()
    found = predict_table(table.filter(pl.col("params") <= 1e8), questions_of(questions.drop("answer")))
    assert len(found.predictions) == questions.height


def test_loss_threshold_world():
    """AT-EM-1: an ability that is there exactly below a loss of 2.2 is predicted from the curve alone (AUC at least .98)."""
    generator = np.random.default_rng(5)
    loss = 4.0 - 0.45 * np.arange(8)[None, :] + generator.uniform(-0.4, 0.4, (40, 1))
    ability = 0.9 / (1 + np.exp((loss - 2.2) / 0.1))
    params = 1e7 * 3.0 ** np.arange(8)
    rows = [
        row(family="f0", task=f"t{task}", params=size, score=float(value), chance=0.0, n=1000.0)
        for task in range(40)
        for size, value in zip(params, generator.binomial(1000, ability[task]) / 1000, strict=True)
    ]
    table = pl.DataFrame(rows)
    questions = asked(table, limit=3e8, fewest=3)
    said = p_of(predict_table(table.filter(pl.col("params") <= 3e8), questions_of(questions.drop("answer"))))
    truth = questions["answer"].to_numpy()
    assert auc(said, truth) > 0.9


def test_scores_of_other_tasks_that_are_no_shares_are_set_aside(world, answers):
    history, questions = world
    bleu = pl.DataFrame([row(task="bleu", params=size, score=20.0 + size / 1e8) for size in (1e7, 1e8)])
    few = questions.drop("answer").head(5)
    more = predict_table(pl.concat([history, bleu], how="diagonal_relaxed"), questions_of(few))
    assert p_of(more) == pytest.approx(p_of(answers)[:5], abs=1e-12)
    with pytest.raises(InputError, match="is not between 0 and 1"):
        predict_table(history.with_columns(score=pl.col("score") * 100), questions_of(few))
