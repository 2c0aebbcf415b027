import numpy as np
import pytest
from bench_files import TOKENIZER, tiny_llama, write_data

from imprint.capabilities import costs, evaluate, items_frame, prepare, summarise
from imprint.errors import InputError
from imprint.interventions.activations import Intervention, Zero


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model():
    return tiny_llama()


def choice(number, options, gold, suite="s"):
    log_probs = np.array(options)
    chosen = int(log_probs.argmax())
    weights = np.exp(log_probs - log_probs.max())
    return {
        "suite": suite, "task": suite, "item": number, "group": number, "correct": float(chosen == gold),
        "log_prob": options[gold], "num_tokens": 1, "confidence": weights[chosen] / weights.sum(),
        "prediction": "ab"[chosen], "gold": "ab"[gold], "gold_option": gold, "chance": 0.5, "options": options,
    }  # fmt: skip


def test_the_summary_of_known_items():
    sure, unsure = [-0.1, -9.0], [-1.0, -1.0]
    frame = items_frame([choice(0, sure, 0), choice(1, sure, 0), choice(2, sure, 1), choice(3, unsure, 0)])
    (found,) = summarise(frame)
    assert found.accuracy.estimate == 0.75
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert (found.items, found.chance, found.majority) == (4, 0.5, 0.75)
    assert found.log_prob.estimate == pytest.approx((-0.1 - 0.1 - 9.0 - 1.0) / 4)
    assert found.f1_macro == pytest.approx((2 * 3 / (2 * 3 + 1) + 0.0) / 2)
    assert found.brier.estimate == pytest.approx((2.0 + 0.5) / 4, abs=1e-3)
    assert found.perplexity is None
    assert sum(one.count for one in found.reliability) == 4
    assert found.as_dict()["accuracy"]["estimate"] == 0.75


def test_open_answers_are_generated_and_graded(data, model):
    bench = prepare(["gsm8k", "bbh"], data, TOKENIZER, model=model, limit=2)
    done = []
    items = evaluate(bench, model, TOKENIZER, max_new_tokens=4, advance=done.append)
    assert all(text is not None for text in items["prediction"])
    assert all(len(text) <= 16 for text in items["prediction"])
    scored = bench.scorer(model)
    assert sum(done) == scored.num_tokens + 4
    silent = evaluate(bench, model, TOKENIZER, generate=False)
    assert silent["prediction"].null_count() == 4
    assert silent["log_prob"].to_list() == items["log_prob"].to_list()


def test_interventions_change_scores_and_answers(data, model):
    bench = prepare(["sst2", "gsm8k"], data, TOKENIZER, model=model, limit=3, fewshot=0)
    silence = [Intervention(site="L1.resid_post", edit=Zero())]
    plain = evaluate(bench, model, TOKENIZER, max_new_tokens=6)
    changed = evaluate(bench, model, TOKENIZER, max_new_tokens=6, interventions=silence)
    assert (changed["log_prob"] - plain["log_prob"]).abs().min() > 1e-4
    assert changed["prediction"].to_list() != plain["prediction"].to_list()
    again = evaluate(bench, model, TOKENIZER, max_new_tokens=6)
    assert again.equals(plain)


def test_suites_without_answers_have_perplexity_alone(data, model):
    bench = prepare(["wikitext", "sst2"], data, TOKENIZER, model=model, limit=8, fewshot=0)
    text, reviews = summarise(evaluate(bench, model, TOKENIZER))
    assert (text.accuracy, text.chance, text.calibration, text.brier, text.reliability) == (None, None, None, None, ())
    assert text.perplexity.byte.estimate > 1.0
    assert reviews.perplexity is None
    assert reviews.calibration.floor > 0


def test_costs_are_paired_by_item():
    base = items_frame([choice(n, [-0.1, -3.0], 0) for n in range(20)])
    lost = items_frame([choice(n, [-3.0, -0.1] if n < 10 else [-0.1, -3.0], 0) for n in reversed(range(20))])
    found = costs(base, lost)["s"]
    assert found["accuracy"].lost.estimate == pytest.approx(0.5)
    assert found["accuracy"].corrected.estimate == pytest.approx(1.0)
    assert found["accuracy"].p == pytest.approx(2 / 2**10)
    assert found["log_prob"].lost.estimate == pytest.approx(2.9 / 2)
    same = costs(base, base)["s"]
    assert same["accuracy"].lost.estimate == same["log_prob"].lost.estimate == 0.0


def test_documents_cost_nats_a_token():
    def documents(nats):
        return items_frame(
            [
                {
                    "suite": "w",
                    "task": "w",
                    "item": n,
                    "log_prob": -nats * (n + 1),
                    "num_tokens": n + 1,
                    "words": 1,
                    "bytes": 1,
                }
                for n in range(5)
            ]
        )

    found = costs(documents(2.0), documents(3.5))["w"]
    assert set(found) == {"log_prob"}
    assert found["log_prob"].lost.estimate == pytest.approx(1.5)


def test_arms_with_other_items_have_no_cost():
    base = items_frame([choice(n, [-0.1, -3.0], 0) for n in range(4)])
    with pytest.raises(InputError, match="cannot be paired"):
        costs(base, base.head(3))
