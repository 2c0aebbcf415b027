"""`imprint run` of a perturbation study, `imprint perturb`, and `imprint locate --corpus`, as a user calls them."""

import json
import shutil

import pytest
import yaml

from tiny_perturbation import tiny_perturbation, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


def perturb(imprint, world, out, *more, site="L1.resid_post"):
    given = ["--corpus", world / "text", "--site", site, "--data", world / "data", "--suite", "copa"]
    sizes = ["--items", 20, "--fewshot", 0, "--documents", 40, "--tokens", 16, "--dimensions", 4, "--processes", 1]
    return imprint("perturb", world / "model", *given, *sizes, "--out", out, *more)


@pytest.fixture
def perturbed(imprint, world, tmp_path):
    return perturb(imprint, world, tmp_path / "out", "--family", "shift", "--doses", 1, "--doses", 4), tmp_path / "out"


def test_perturb_shows_harm_beside_controls_and_keeps_the_perturbations(imprint, world, perturbed):
    answer, out = perturbed
    assert answer.code == 0, answer.err
    assert "Harm of each perturbation" in answer.out
    assert (out / "report.html").exists()
    kept = sorted(path.name for path in (out / "interventions").iterdir())
    assert kept == ["code.json", "code.safetensors", "prose.json", "prose.safetensors"]
    options = [
        "--suite",
        "copa",
        "--data",
        world / "data",
        "--limit",
        20,
        "--fewshot",
        0,
        "--out",
        out / "again",
        "--json",
    ]
    plain = imprint("evaluate", world / "model", *options)
    acting = imprint("evaluate", world / "model", *options, "--interventions", out / "interventions" / "code.json")
    assert plain.code == acting.code == 0, acting.err
    assert plain.out != acting.out


def test_a_study_runs_from_its_file_to_a_report(imprint, world, tmp_path):
    chosen = {"families": ["ablation"], "layers": [], "token_shares": [], "global_noise": False}
    content = tiny_perturbation(world, perturbations=tiny_perturbation(world)["perturbations"] | chosen)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    answer = imprint("run", path, "--out", tmp_path / "out", "--processes", 1)
    assert answer.code == 0, answer.err
    assert answer.out.count("\n") >= 6
    evidence = json.loads((tmp_path / "out" / "evidence.json").read_text(encoding="utf-8"))
    assert len(evidence["hypotheses"]) == 3
    page = (tmp_path / "out" / "report.html").read_bytes()
    assert imprint("report", tmp_path / "out").code == 0
    assert (tmp_path / "out" / "report.html").read_bytes() == page


def test_locate_finds_what_belongs_to_each_cluster(imprint, world, tmp_path):
    answer = imprint("locate", world / "model", "--corpus", world / "text", "--site", "L1.mlp", "--json")
    assert answer.code == 0, answer.err
    assert set(answer.json["clusters"]) == {"code", "prose"}
    assert answer.json["clusters"]["code"]["dimensions"] == len(answer.json["clusters"]["code"]["dims"])
    shown = imprint("locate", world / "model", "--corpus", world / "text", "--site", "L1.mlp", "--out", tmp_path / "o")
    assert "selectivity" in shown.out
    assert (tmp_path / "o" / "clusters.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--doses", "nan", "--doses", "1"], "not a dose"),
        (["--doses", "1"], "at least two"),
        (["--controls", "rte"], "not among the suites"),
    ],
)
def test_bad_doses_and_controls_are_one_sentence(imprint, world, tmp_path, options, message):
    answer = perturb(imprint, world, tmp_path / "out", *options)
    assert answer.code == 2
    assert message in answer.complaint()


@pytest.mark.parametrize(
    ("site", "message"),
    [("L7.resid_post", "layers 0 to 2"), ("L1.rezid", "not the address"), ("L1.H9", "heads 0 to 2")],
)
def test_a_site_that_the_model_lacks_is_one_sentence(imprint, world, tmp_path, site, message):
    answer = perturb(imprint, world, tmp_path / "out", site=site)
    assert answer.code == 2
    assert message in answer.complaint()


def test_files_without_gold_answers_are_one_sentence(imprint, world, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(world / "data", data)
    path = data / "balanced_copa" / "balanced-copa-dev-all.xml"
    path.write_text(path.read_text(encoding="utf-8").replace('most-plausible-alternative="1"', ""), encoding="utf-8")
    given = [
        "--corpus",
        world / "text",
        "--site",
        "L1.resid_post",
        "--data",
        data,
        "--suite",
        "copa",
        "--documents",
        40,
    ]
    answer = imprint("perturb", world / "model", *given, "--tokens", 16, "--out", tmp_path / "out", "--processes", 1)
    assert answer.code == 2
    assert "balanced-copa-dev-all.xml" in answer.complaint()


def test_locating_clusters_needs_text_and_a_site(imprint, world):
    assert "both" in imprint("locate", world / "model", "--site", "L1.mlp").complaint()
