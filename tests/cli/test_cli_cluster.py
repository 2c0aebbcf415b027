"""`imprint cluster`: divide, describe, draw the sheet, read labels back; and one sentence for every bad input."""

import csv
import json
import lzma
import shutil

import numpy as np
import polars as pl
import pytest

from imprint.corpus import byte_tokenizer
from imprint.corpus.clusters import Clustering, Sheet
from imprint.models import Architecture

SUBJECTS = {
    "cooking": "oven butter flour sugar recipe whisk simmer dough",
    "sailing": "anchor harbour sail mast rudder tide keel rope",
    "music": "violin chord melody rhythm tempo concert piano string",
}


@pytest.fixture
def corpus(tmp_path):
    """Three packed JSONL files, 12 documents each."""
    folder = tmp_path / "text"
    folder.mkdir()
    for seed, (subject, words) in enumerate(SUBJECTS.items()):
        generator = np.random.default_rng(seed)
        texts = [" ".join(generator.choice(words.split(), 30)) for _ in range(12)]
        with lzma.open(folder / f"{subject}.jsonl.xz", "wt") as file:
            file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    sizes = {"n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}
    Architecture(config=sizes | {"bos_token_id": 0, "eos_token_id": 0}).initialise(0).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def label(sheet, key, answer, name):
    """The sheet as a person would fill it in."""
    clusters = {item.item: item.cluster for item in Sheet.load(key).items}
    with sheet.open(newline="") as file:
        rows = list(csv.DictReader(file))
    path = sheet.with_name(f"{name}.csv")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": answer(clusters[row["item"]])} for row in rows)
    return path


def test_domains_from_start_to_agreement(imprint, corpus, tmp_path):
    out = tmp_path / "out"
    answer = imprint("cluster", corpus, "--out", out)
    assert answer.code == 0
    for words in ("3 clusters by domains", "cooking", "0 of 36 documents belong to no cluster", "sheet.html"):
        assert words in answer.out
    assert Clustering.load(out / "clustering").sizes.tolist() == [12, 12, 12]
    assert pl.read_parquet(out / "characterisation.parquet")["cluster"].n_unique() == 3
    assert len(json.loads((out / "characterisation.json").read_text())) == 3
    files = [label(out / "sheet.csv", out, str.upper, name) for name in ("ann", "bob")]
    report = imprint("cluster", "agreement", *files)
    assert report.code == 0
    assert "Krippendorff's alpha 1.000 [1.000, 1.000] over 15 items." in report.out
    asked = imprint("cluster", "agreement", *files, "--json")
    assert asked.json["agreement"]["estimate"] == 1.0
    assert [one["modal_label"] for one in asked.json["clusters"]] == ["cooking", "music", "sailing"]
    alone = imprint("cluster", "agreement", files[0])
    assert "No agreement to report: 1 annotator(s) cannot agree" in alone.out


def test_lda_as_json_and_again_the_same(imprint, corpus, tmp_path):
    arguments = ("cluster", corpus, "--method", "lda", "--clusters", 3, "--json", "--out")
    answer = imprint(*arguments, tmp_path / "one")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["method"] == "lda, 3 topics, seed 0"
    assert sorted(one["documents"] for one in answer.json["clusters"]) == [12, 12, 12]
    again = imprint(*arguments, tmp_path / "two")
    assert again.out == answer.out
    for name in ("sheet.csv", "sheet.html", "characterisation.parquet", "clustering/labels.npy"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_filled_in_sheet_is_never_lost(imprint, corpus, tmp_path):
    out = tmp_path / "out"
    assert imprint("cluster", corpus, "--out", out).code == 0
    assert imprint("cluster", corpus, "--out", out, "--sample-least", 3).code == 0  # nobody has written into it
    filled = (out / "sheet.csv").read_text().replace(",,", ",ann,", 1)
    (out / "sheet.csv").write_text(filled)
    assert imprint("cluster", corpus, "--out", out, "--sample-least", 3).code == 0
    assert (out / "sheet.csv").read_text() == filled
    answer = imprint("cluster", corpus, "--out", out, "--sample-least", 4)
    assert answer.code == 2
    assert "has been filled in for another clustering; move it" in answer.complaint()
    assert (out / "sheet.csv").read_text() == filled


def test_blind_and_offered_labels(imprint, corpus, tmp_path):
    out = tmp_path / "out"
    options = ("--blind", "--labels", "food", "--labels", "boats", "--documents", 6)
    assert imprint("cluster", corpus, "--out", out, *options).code == 0
    assert "sailing" not in (out / "sheet.csv").read_text() + (out / "sheet.html").read_text()
    assert '<option value="boats">' in (out / "sheet.html").read_text()
    assert len(Clustering.load(out / "clustering")) == 18
    wrong = label(out / "sheet.csv", out, lambda cluster: "boots", "ann")
    answer = imprint("cluster", "agreement", wrong)
    assert answer.code == 2
    assert "ann.csv:2: the label 'boots' is not offered by the sheet; use one of: food, boats" in answer.complaint()


def test_tokens_by_dbscan(imprint, corpus, model, tmp_path):
    out = tmp_path / "out"
    fixed = ("cluster", corpus, "--method", "dbscan", "--model", model, "--layer", 0, "--tokens", 600, "--context", 32)
    answer = imprint(*fixed, "--eps", 2.0, "--min-samples", 4, "--out", out)
    assert answer.code == 0, answer.err
    for words in (
        "clusters by dbscan, eps 2, min_samples 4",
        "tokens are noise",
        "Stability over resamples (ARI)",
        "DBCV",
    ):
        assert words in answer.out
    divided = Clustering.load(out / "clustering")
    assert divided.unit == "token"
    assert all("⟦" in item.text and "⟧" in item.text for item in Sheet.load(out).items)
    asked = imprint(*fixed, "--eps", 2.0, "--min-samples", 4, "--out", out, "--json")
    assert sum(one["tokens"] for one in asked.json["clusters"]) + asked.json["noise"] == len(divided)
    assert asked.json["quality"]["num_clusters"] == divided.num_clusters
    assert imprint(*fixed, "--out", tmp_path / "other").code in (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--clusters", 3), "--clusters is for --method lda or bertopic, not for domains; leave it out or change"),
        (("--method", "lda", "--encoder", "x"), "--encoder is for --method bertopic, not for lda"),
        (("--method", "lda", "--eps", 1.0), "--eps is for --method dbscan, not for lda"),
        (("--method", "lda", "--clusters", 1), "--clusters 1 divides nothing; ask for at least 2"),
        (("--method", "lda", "--clusters", 40), "40 topics are more than the 36 documents with a usable word (of 36)"),
        (("--method", "lda", "--clusters", 0), 'Invalid value "0" for --clusters. Must be >= 1.'),
        (("--method", "bertopic"), "--method bertopic needs --encoder: the folder of a sentence encoder"),
        (("--method", "bertopic", "--encoder", "nowhere"), "there is no encoder 'nowhere': neither a folder nor"),
        (("--method", "dbscan", "--layer", 1), "--method dbscan clusters the states of a model: --model is missing"),
        (("--method", "dbscan", "--model", "m"), "--layer is missing"),
        (("--method", "dbscan", "--model", "m", "--layer", 1, "--eps", "nan"), "--eps nan is no distance"),
        (("--method", "dbscan", "--model", "nowhere/at-all", "--layer", 1), "nowhere/at-all"),
        (("--method", "kmeans",), 'Invalid value "kmeans" for --method'),
        (("--sample", 0), 'Invalid value "0.0" for --sample. Must be > 0.'),
        (("--labels", "a", "--labels", "A"), "a label occurs twice in a, A"),
        (("--text-key", "body"), "has no key 'body'"),
    ],
)  # fmt: skip
def test_bad_options_are_one_sentence(imprint, corpus, tmp_path, arguments, message):
    answer = imprint("cluster", corpus, *arguments, "--out", tmp_path / "out")
    assert answer.code == 2
    assert message in answer.complaint()


def test_an_empty_encoder_folder(imprint, corpus, tmp_path):
    (tmp_path / "encoder").mkdir()
    answer = imprint(
        "cluster", corpus, "--method", "bertopic", "--encoder", tmp_path / "encoder", "--out", tmp_path / "o"
    )
    assert answer.code == 2
    assert "has no config.json with model.safetensors" in answer.complaint()


@pytest.mark.parametrize(
    ("layer", "message"),
    [("7", "Layer 7 was asked, but the model has layers 0 to 1"), ("L0.nonsense", "nonsense"), ("-1", "-1")],
)
def test_a_site_that_the_model_does_not_have(imprint, corpus, model, tmp_path, layer, message):
    options = (
        "--method",
        "dbscan",
        "--model",
        model,
        f"--layer={layer}",
        "--tokens",
        200,
        "--context",
        32,
        "--eps",
        1.0,
    )
    answer = imprint("cluster", corpus, *options, "--out", tmp_path / "out")
    assert answer.code == 2
    assert message in answer.complaint()


def test_nothing_dense(imprint, corpus, model, tmp_path):
    options = ("--method", "dbscan", "--model", model, "--layer", 0, "--tokens", 200, "--context", 32, "--eps", 1e-6)
    answer = imprint("cluster", corpus, *options, "--min-samples", 50, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "tokens are noise at eps 1e-06; give a larger eps" in answer.complaint()


def test_corpora_that_cannot_be_divided(imprint, corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    answer = imprint("cluster", tmp_path / "empty", "--out", tmp_path / "out")
    assert answer.code == 2
    assert "is empty: no document was found in it" in answer.complaint()
    for name in ("sailing", "music"):
        (corpus / f"{name}.jsonl.xz").unlink()
    answer = imprint("cluster", corpus, "--out", tmp_path / "out")
    assert answer.code == 2
    assert "all 12 documents are of one domain, 'cooking'" in answer.complaint()
    answer = imprint("cluster", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert answer.code == 2
    assert "nowhere" in answer.complaint()


def test_agreement_of_nothing(imprint, corpus, tmp_path):
    assert imprint("cluster", "agreement").complaint().startswith("no labelled sheet is given")
    out = tmp_path / "out"
    assert imprint("cluster", corpus, "--out", out).code == 0
    answer = imprint("cluster", "agreement", out / "sheet.csv")
    assert answer.code == 2
    assert "no label is filled in" in answer.complaint()
    shutil.copy(out / "sheet.csv", tmp_path / "moved.csv")
    answer = imprint("cluster", "agreement", tmp_path / "moved.csv")
    assert answer.code == 2
    assert "the key that was written beside the sheet; name it" in answer.complaint()
    missing = imprint("cluster", "agreement", tmp_path / "absent.csv", "--key", out)
    assert missing.code == 2
    assert "absent.csv" in missing.complaint()
