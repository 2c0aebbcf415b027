import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "examples" / "published_coupling/table.csv"
PUBLISHED = ROOT / "examples" / "published_coupling/printed.yaml"
TEN_SEEDS = "condition,pipeline_seed,stage_seed,score\n" + "".join(
    f"{c},42,{s},{10 * c + (7 * s + 3 * c) % 5}\n" for c in range(3) for s in range(10)
)


def words(text):
    """Without frames and line breaks."""
    return " ".join(text.replace("│", " ").replace("┃", " ").split())


def test_published_table_in_words(imprint, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    answer = imprint("variance", TABLE, "--published", PUBLISHED)
    said = words(answer.out)
    assert answer.code == 0
    assert "alignment: no sign that conditions differ beyond their pipelines" in said
    assert "arc_c: conditions differ beyond their pipelines" in said
    assert "condition, F 0.537 (4, 10) 0.712" in said
    assert "condition, F 4.280 (4, 10) 0.028" in said
    assert "seed block, F 5.950 (2, 8) 0.026" in said
    assert "ICC(1) -0.1825" in said
    assert "ICC(1) 0.5223" in said
    assert "1.820 1.510 WRONG number 4 of the 5 cells" in said
    assert "0.021 0.015 WRONG number 5 of the 5 cells" in said
    assert "2.940 2.940 agrees" in said
    assert "2 metrics were asked about" in said


def test_json_and_files_hold_the_same(imprint, tmp_path):
    out = tmp_path / "found"
    answer = imprint("variance", TABLE, "--metric", "arc_c", "--published", PUBLISHED, "--out", out, "--json")
    assert answer.json == json.loads((out / "variance.json").read_text())
    (finding,) = answer.json["findings"]
    assert finding["one_way"]["f"]["statistic"] == pytest.approx(4.280, abs=6e-4)
    assert finding["one_way"]["icc"]["estimate"] == pytest.approx(0.522, abs=6e-4)
    assert finding["permutation"]["p"] == pytest.approx(0.032, abs=0.01)
    assert [check["consistent"] for check in finding["published"]] == [False, True, False]
    assert str(tmp_path) not in (out / "variance.json").read_text()
    assert (out / "variance.html").read_text().startswith("<!DOCTYPE html>")


def test_alpha_decides(imprint):
    answer = imprint("variance", TABLE, "--metric", "arc_c", "--alpha", "0.01", "--json")
    assert answer.json["findings"][0]["verdict"] == "no sign"


def test_last_stage_seeds_are_refused_and_their_components_shown(imprint, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    path = tmp_path / "ten.csv"
    path.write_text(TEN_SEEDS)
    answer = imprint("variance", path)
    said = words(answer.out)
    assert answer.code == 0
    assert "cannot tell" in said
    assert "last-stage seeds of one pipeline are not independent: run at least 2, better 5, pipeline seeds" in said
    assert "condition + pipeline seed" in said
    assert "Conditions against pipelines" not in said


def test_wide(imprint, tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("condition,1,2,3\na,1,2,3\nb,11,12,13\nc,1,3,5\n")
    found = imprint("variance", path, "--wide", "--metric", "m", "--json").json["findings"]
    assert [(one["metric"], one["verdict"]) for one in found] == [("m", "differ")]


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        (
            "condition,sed,m\na,1,2\n",
            [],
            "t.csv has no column 'pipeline': did you mean 'sed'? Rename it to 'pipeline'.",
        ),
        ("condition,seed,m\na,1,x\n", [], "t.csv:2: m is 'x', not a number"),
        ("condition,seed,m\na,1,1\na,2,2\n", [], "m has one condition"),
        ("condition,seed,m\na,1,1\nb,1,2\n", [], "m has one pipeline seed in each of 2 conditions"),
        ("condition,seed,m\na,1,1\na,1,2\n", [], "repeats the place of t.csv:2"),
        ("condition,seed,m\na,1,1\na,2,2\n", ["--metric", "n"], "has no metric 'n'"),
        ("condition,seed,m\na,1,1\na,2,2\n", ["--alpha", "5"], "--alpha 5 must lie strictly between 0 and 1"),
        ("condition,seed,m\na,1,1\na,2,2\n", ["--published", "absent.yaml"], "absent.yaml cannot be read"),
        ("condition,seed,m\na,1,1\na,2,2\n", ["--published", PUBLISHED], "'alignment' is not in t.csv, which has m"),
    ],
)
def test_bad_input_is_one_sentence(imprint, tmp_path, text, more, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    out = tmp_path / "out"
    answer = imprint("variance", path, *more, "--out", out)
    assert answer.code == 2
    assert message in answer.complaint()
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["correlation", ".7", "--points", "5"],
            "'spearman >= 0.7' is passed by chance in 11.7 % of studies; a false-positive",
        ),
        (["correlation", ".7", "--points", "5", "--statistic", "pearson", "--two-sided"], "in 18.8 % of studies"),
        (["correlation", ".7", "--points", "5", "--scalars", "10"], "71.1 % with 10 independent scalars"),
        (
            ["accuracy", ".5", "--documents", "10", "--classes", "5"],
            "in 3.28 % of studies; a false-positive rate of 5 % takes 0.5",
        ),
        (["shift", "1", "--pipelines", "3"], "'|shift| >= 1 sd, 3 against 3 seeds' is passed by chance in 34.5 %"),
        (["shift", "1", "--pipelines", "3", "--one-sided"], "in 17.3 % of studies"),
        (
            ["conditions", "5", "--pipelines", "3"],
            "an ICC of 0.72 or more, or a range of true condition means of 3.6 sd",
        ),
    ],
)
def test_gates(imprint, arguments, sentence):
    answer = imprint("gates", *arguments)
    assert answer.code == 0
    assert sentence in words(answer.out)
    assert isinstance(imprint("gates", *arguments, "--json").json, dict)


@pytest.mark.parametrize(
    "arguments",
    [
        ["correlation", "7", "--points", "5"],
        ["correlation", ".7", "--points", "2"],
        ["correlation", ".7"],
        ["accuracy", ".7", "--documents", "40", "--classes", "1"],
        ["shift", "1", "--pipelines", "1"],
        ["conditions", "1", "--pipelines", "3"],
        ["conditions", "5", "--pipelines", "3", "--alpha", "2"],
        ["rank", ".7"],
    ],
)
def test_impossible_gates_are_refused(imprint, arguments):
    answer = imprint("gates", *arguments)
    assert answer.code == 2
    assert answer.complaint()


def test_help_is_instant():
    script = """
import sys
from imprint.cli import main
for words in (["variance"], ["gates"], ["gates", "correlation"]):
    try:
        main([*words, "--help"])
    except SystemExit as end:
        assert end.code == 0, words
sys.stderr.write(" ".join(name for name in ("torch", "numpy", "scipy", "polars", "altair") if name in sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert found.stderr == ""
    assert "Usage: imprint variance" in found.stdout
