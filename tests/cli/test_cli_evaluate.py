import json
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.append(str(Path(__file__).parents[1] / "capabilities"))
from bench_files import TOKENIZER, tiny_llama, write, write_data

from imprint.interventions.activations import Intervention, Zero, save_interventions


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    tiny_llama().save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def test_suites_and_what_interventions_cost_them(imprint, model, data, tmp_path):
    edits = tmp_path / "zero.json"
    save_interventions(edits, [Intervention(site="L1.resid_post", edit=Zero())])
    asked = ("evaluate", model, "--data", data, "--suite", "sst2,copa", "--suite", "wikitext", "--fewshot", 0)
    answer = imprint(*asked, "--limit", 6, "--interventions", edits, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    for words in ("Benchmarks", "sst2", "copa", "wikitext: perplexity", "Under the interventions", "items.parquet"):
        assert words in answer.out
    items = pl.read_parquet(tmp_path / "out" / "items.parquet")
    perturbed = pl.read_parquet(tmp_path / "out" / "perturbed.parquet")
    assert items["suite"].to_list() == perturbed["suite"].to_list() == ["sst2"] * 6 + ["copa"] * 6 + ["wikitext"] * 2
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [suite["suite"] for suite in summary["suites"]] == ["sst2", "copa", "wikitext"]
    assert summary["costs"]["sst2"]["log_prob"]["lost"]["n"] == 6


def test_json_and_the_same_results_again(imprint, model, data, tmp_path):
    asked = ("evaluate", model, "--data", data, "--suite", "blimp", "--json", "--out", tmp_path / "out")
    answer = imprint(*asked)
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["suites"][0]["suite"] == "blimp"
    assert answer.json["suites"][0]["accuracy"]["n"] == 2
    assert imprint(*asked).out == answer.out


@pytest.mark.parametrize(
    ("suite", "more", "said"),
    [
        ("blmp", (), "did you mean blimp?"),
        ("copa", ("--interventions", "absent.json"), "no such file of interventions"),
        ("mmlu", ("--fewshot", 9), "9 shots were asked but its data has 5"),
        ("sst2", ("--limit", 0), "limit"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(imprint, model, data, tmp_path, suite, more, said):
    answer = imprint("evaluate", model, "--data", data, "--suite", suite, *more, "--out", tmp_path / "out")
    assert answer.code == 2
    assert said in answer.err
    assert answer.err.strip().splitlines()[-1].startswith("imprint: ")


def test_files_without_gold_answers_and_models_without_tokenizers(imprint, model, data, tmp_path):
    write(tmp_path, "rte/dev.tsv", "sentence1\tsentence2\tlabel\tidx\na\tb\t-1\t0\n")
    answer = imprint("evaluate", model, "--data", tmp_path, "--suite", "rte", "--fewshot", 0, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "row 1 has no gold answer" in answer.err
    tiny_llama().save_pretrained(tmp_path / "mute")
    answer = imprint("evaluate", tmp_path / "mute", "--data", data, "--suite", "blimp", "--out", tmp_path / "out")
    assert answer.code == 2
    assert "without a tokenizer" in answer.err
