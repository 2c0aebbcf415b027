import importlib
import math

import lm_eval.evaluator
import numpy as np
import pytest
from bench_files import TOKENIZER, tiny_llama, write, write_data
from lm_eval.models.huggingface import HFLM

from imprint.capabilities import SUITES, RequestScore, paired, prepare
from imprint.errors import ConfigError, CorpusError, InputError, ModelError

CHOICES = ["winograd", "sst2", "rte", "copa", "mmlu", "ethics", "blimp", "bigbench"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def model():
    return tiny_llama()


@pytest.fixture(scope="module")
def bench(data, model):
    """Every suite at two shots or none."""
    return prepare(CHOICES, data, TOKENIZER, model=model, fewshot=0)


def posed(data, model, suite, **how):
    return prepare([suite], data, TOKENIZER, model=model, **how).questions


def asked(question):
    return [context + "|" + continuation for context, continuation in question.pairs]


def test_the_prompts_are_the_stock_prompts(data, model):
    def first(suite, **how):
        return asked(posed(data, model, suite, **how)[0])

    assert first("sst2", fewshot=0) == [
        f"play number 0 was bad\nQuestion: Is this sentence positive or negative?\nAnswer:| {answer}"
        for answer in ("negative", "positive")
    ]
    assert first("rte", fewshot=0) == [
        f'Ann "0" ran.\nQuestion: Ann ran. True or False?\nAnswer:| {answer}' for answer in ("True", "False")
    ]
    assert first("copa", fewshot=0)[0] == "The sun set therefore|  it got dark."
    assert first("winograd") == [
        f"The trophy does not fit in the case because {option}|  is too big." for option in ("the trophy", "the case")
    ]
    assert first("blimp") == ["| Cats sleep.", "| Cats sleeps."]
    assert first("ethics:virtue") == [
        f'Sentence: Al gave all.\nQuestion: Does the character in this sentence exhibit the trait "kind"?\nAnswer:| {x}'
        for x in ("no", "yes")
    ]
    assert first("math") == ["Problem: Two?\nAnswer:| 2"]
    assert first("mmlu", fewshot=0)[2] == (
        "The following are multiple choice questions (with answers) about anatomy.\n\nTwo, and two?\n"
        "A. 3\nB. 4\nC. 5\nD. 6\nAnswer:| C"
    )


def test_chain_of_thought_prompts_carry_the_stock_shots(data, model):
    gsm8k = posed(data, model, "gsm8k")[0].prompt
    assert gsm8k.startswith("Q: There are 15 trees in the grove.")
    assert gsm8k.count("\nA: ") == 8
    assert gsm8k.endswith("\n\nQ: What is 0 + 1?\nA:")
    bbh = posed(data, model, "bbh")[0].prompt
    assert bbh.startswith("Given a series of navigation instructions")
    assert bbh.count("A: Let's think step by step.\n") == 4


def test_mmlu_has_its_own_shots_in_their_order(data, model):
    prompt = posed(data, model, "mmlu", fewshot=3)[1].prompt
    assert [line for line in prompt.split("\n") if line.startswith("Answer:")] == [
        "Answer: B", "Answer: D", "Answer: A", "Answer:"
    ]  # fmt: skip


def test_gold_answers_and_chance(bench, model):
    items = bench.items(bench.scorer(model).score())
    by_suite = {suite: items.filter(items["suite"] == suite) for suite in CHOICES}
    assert by_suite["sst2"]["gold"].to_list() == ["negative", "positive"] * 6
    assert by_suite["mmlu"]["chance"].to_list() == [0.25, 0.25]
    assert by_suite["bigbench"]["gold"].to_list() == ["1", "2", "3", "4", "5"]
    assert by_suite["blimp"]["gold_option"].to_list() == [0, 0]
    assert by_suite["winograd"]["group"].to_list() == [0, 0, 1]
    assert by_suite["copa"]["group"].to_list()[:4] == [1, 1, 2, 2]
    assert items["correct"].is_in([0.0, 1.0]).all()
    assert (items["confidence"] >= items["chance"] - 1e-9).all()


def test_what_is_read_off_scores(bench):
    """The gold answer far ahead: right, certain, its log-probability. The second option far ahead: wrong where it is not gold."""
    scores = []
    for question, group in zip(bench.questions, bench.groups, strict=True):
        scores += [
            RequestScore(
                log_prob=-1.0 if place == question.gold else -50.0, greedy=False, num_tokens=len(one.continuation)
            )
            for place, one in enumerate(group)
        ]
    items = bench.items(scores)
    assert items["correct"].to_list() == [1.0] * len(items)
    assert items["log_prob"].to_list() == [-1.0] * len(items)
    assert items["confidence"].to_list() == pytest.approx([1.0] * len(items))
    flat = [
        RequestScore(log_prob=-float(place), greedy=False, num_tokens=1)
        for group in bench.groups
        for place in range(len(group))
    ]
    first = bench.items(flat)
    assert first["correct"].to_list() == [float(question.gold == 0) for question in bench.questions]
    assert first.filter(first["suite"] == "mmlu")["confidence"][0] == pytest.approx(
        1 / sum(math.exp(-n) for n in range(4))
    )


def test_items_and_log_likelihoods_are_lm_evals_own(bench, model):
    theirs = lm_eval.evaluator.evaluate(
        HFLM(pretrained=model, tokenizer=TOKENIZER, batch_size=4),
        dict(bench.tasks),
        log_samples=True,
        bootstrap_iters=0,
        verbosity="ERROR",
    )
    items = bench.items(bench.scorer(model).score())
    for name, samples in theirs["samples"].items():
        mine = items.filter(items["task"] == name)
        assert mine["correct"].to_list() == [sample["acc"] for sample in samples]
        expected = [log_prob for sample in samples for (log_prob, _) in sample["filtered_resps"]]
        assert np.concatenate(mine["options"].to_list()) == pytest.approx(expected, abs=1e-4)


def test_a_limit_is_drawn_by_the_seed_and_asks_the_same_questions(data, model):
    few, more = posed(data, model, "sst2", limit=4), posed(data, model, "sst2", limit=9)
    assert len(few) == 4
    assert {question.number for question in few} < {question.number for question in more}
    assert {asked(question)[0] for question in few} < {asked(question)[0] for question in more}
    assert [question.number for question in few] == sorted(question.number for question in few)
    assert posed(data, model, "sst2", limit=4, seed=1) != few
    assert posed(data, model, "sst2", limit=4) == few


def test_a_limit_is_spread_over_the_tasks_of_a_suite(data, model):
    questions = posed(data, model, "ethics", limit=4)
    assert sorted(question.task for question in questions) == [
        "ethics_cm",
        "ethics_cm",
        "ethics_utilitarianism",
        "ethics_virtue",
    ]
    assert len({question.task for question in posed(data, model, "ethics", limit=2)}) == 2


def test_shots_never_hold_the_question(data, model):
    for question in posed(data, model, "sst2", fewshot=3):
        shots, own = question.prompt.split("\n\n")[:-1], question.prompt.split("\n\n")[-1]
        assert len(shots) == 3
        assert all(shot.startswith("film") for shot in shots)
        assert own.startswith("play")


def test_open_answers_are_graded_by_the_stock_filters(data, model):
    bench = prepare(["gsm8k"], data, TOKENIZER, model=model)
    scores = bench.scorer(model).score()
    answers = ["1 + 0 = 1. The answer is 1.", "So we have $ 7.", "I do not know", "first 9, then 4"]
    items = bench.items(scores, dict(enumerate(answers)))
    assert items["correct"].to_list() == [1.0, 0.0, 0.0, 1.0]
    assert items["prediction"].to_list() == answers
    assert items["log_prob"].to_list() == [score.log_prob for score in scores]
    without = bench.items(scores)
    assert without["correct"].to_list() == [float(score.greedy) for score in scores]
    assert items["chance"].to_list() == [0.0] * 4


def test_documents_have_log_probabilities_words_and_bytes(data, model):
    bench = prepare(["wikitext"], data, TOKENIZER, model=model)
    items = bench.items(bench.scorer(model).score())
    assert items["correct"].null_count() == len(items) == 2
    assert items["bytes"][1] == len(" = Two = \n \n Fish swim . \n")
    assert items["num_tokens"][1] == len(" = Two =\n\nFish swim.\n")
    assert (items["log_prob"] < 0).all()


def test_long_documents_are_read_in_windows(data):
    short = tiny_llama(max_position_embeddings=16)
    bench = prepare(["wikitext"], data, TOKENIZER, model=short)
    assert len(bench.groups[1]) == 2
    assert bench.items(bench.scorer(short).score())["num_tokens"][1] == len(" = Two =\n\nFish swim.\n")


def test_truncated_requests_are_counted(data):
    short = tiny_llama(max_position_embeddings=64)
    bench = prepare(["sst2"], data, TOKENIZER, model=short, fewshot=0)
    assert bench.truncated == len(bench.requests) == 24
    assert max(len(one.context + one.continuation) for one in bench.requests) == 65
    assert len(bench.items(bench.scorer(short).score())) == 12


def test_one_suite_of_a_bench(bench, model):
    alone = bench.of("copa").items(bench.of("copa").scorer(model).score())
    whole = bench.items(bench.scorer(model).score())
    both = paired(alone, whole.filter(whole["suite"] == "copa"))
    assert both["log_prob"].to_list() == pytest.approx(both["log_prob_other"].to_list(), abs=1e-5)
    with pytest.raises(ConfigError, match="no suite 'gsm8k'"):
        bench.of("gsm8k")


def test_an_encoder_decoder_and_a_masked_model_choose_too(data):
    from transformers import BertConfig, BertForMaskedLM, T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": 256, "d_model": 16, "d_kv": 4, "d_ff": 16, "num_heads": 2, "num_layers": 2}
    t5 = T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0, pad_token_id=0)).eval()
    bench = prepare(["copa"], data, TOKENIZER, model=t5, fewshot=0)
    assert len(bench.items(bench.scorer(t5).score())) == 16
    bert = BertForMaskedLM(BertConfig(vocab_size=256, hidden_size=16, intermediate_size=16, num_attention_heads=2,
                                      num_hidden_layers=1, max_position_embeddings=300)).eval()  # fmt: skip
    with pytest.raises(ModelError, match="mask_token_id"):
        prepare(["copa"], data, TOKENIZER, model=bert, fewshot=0).scorer(bert)
    with pytest.raises(ModelError, match="predicts the next token"):
        prepare(["wikitext"], data, TOKENIZER, model=bert)


def test_what_is_refused(data, model, tmp_path, bench):
    with pytest.raises(ConfigError, match="2 shots were asked but its data has 0"):
        prepare(["ethics"], data, TOKENIZER, model=model, fewshot=2)
    with pytest.raises(InputError, match="limit=0"):
        prepare(["sst2"], data, TOKENIZER, model=model, limit=0)
    with pytest.raises(InputError, match="scores were given"):
        bench.items([])
    write(tmp_path, "rte/dev.tsv", "sentence1\tsentence2\tlabel\tidx\na\tb\t-1\t0\n")
    with pytest.raises(CorpusError, match="row 1 has no gold answer"):
        prepare(["rte"], tmp_path, TOKENIZER, model=model, fewshot=0)
    write(tmp_path, "mmlu/test/witchcraft_test.csv", "question,choice0,choice1,choice2,choice3,answer\nq,1,2,3,4,0\n")
    write(tmp_path, "mmlu/dev/witchcraft_dev.csv", "question,choice0,choice1,choice2,choice3,answer\nq,1,2,3,4,0\n")
    with pytest.raises(ConfigError, match="lm-eval has no task mmlu/default/mmlu_witchcraft"):
        prepare(["mmlu"], tmp_path, TOKENIZER, model=model, fewshot=0)


def test_without_lm_eval_one_sentence_says_what_to_install(data, model, monkeypatch):
    real = importlib.import_module

    def absent(name, *rest):
        if name.startswith("lm_eval"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr("imprint.capabilities.lm_eval_bridge.importlib.import_module", absent)
    with pytest.raises(ConfigError, match="install imprint with its eval extra"):
        prepare(["sst2"], data, TOKENIZER, model=model)


def test_no_suite_is_forgotten(data, model):
    for name in SUITES:
        assert prepare([name], data, TOKENIZER, model=model, limit=1).questions
