import json

import numpy as np
import polars as pl
import pytest
from variance_tables import TABLE, write_rows

from imprint.errors import InputError
from imprint.studies.variance import Outcomes, read_outcomes

HEADER = ("condition", "pipeline", "score")
ROWS = [("a", "1", "0.5"), ("a", "2", "0.25"), ("b", "1", "1.5"), ("b", "2", "-2e-1")]


def read(tmp_path, text, name="t.csv", **options):
    path = tmp_path / name
    path.write_text(text)
    return read_outcomes(path, **options)


def values(table, metric):
    nest = table.nest(metric)
    return list(zip(nest.conditions, map(str, nest.pipelines), nest.values, strict=True))


EXPECTED = [("a", "1", 0.5), ("a", "2", 0.25), ("b", "1", 1.5), ("b", "2", -0.2)]


def test_one_column_a_metric(tmp_path):
    table = read(tmp_path, "condition,pipeline,score,other\na,1,0.5,1\na,2,0.25,2\nb,1,1.5,3\nb,2,-2e-1,4\n")
    assert table.metrics == ("score", "other")
    assert values(table, "score") == EXPECTED
    assert table.nest("other").values.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["condition", "Condition", " CONDITION "])
@pytest.mark.parametrize("seed", ["pipeline", "pipeline_seed", "Pipeline seed"])
def test_every_form_and_file_gives_the_same_values(tmp_path, name, seed):
    written = [write_rows(tmp_path / "t.csv", (name, seed, "score"), ROWS)]
    written.append(write_rows(tmp_path / "t.tsv", (name, seed, "score"), ROWS, delimiter="\t"))
    long = [(*row[:2], "score", row[2]) for row in ROWS]
    written.append(write_rows(tmp_path / "long.csv", (name, seed, "metric", "value"), long))
    records = [dict(zip((name, seed, "score"), (a, int(b), float(c)), strict=True)) for a, b, c in ROWS]
    lines = tmp_path / "t.jsonl"
    lines.write_text("\n".join(map(json.dumps, records)))
    frame = tmp_path / "t.parquet"
    pl.DataFrame(records).rename(lambda column: column.strip()).write_parquet(frame)
    for path in (*written, lines, frame):
        assert values(read_outcomes(path), "score") == EXPECTED, path.name


def test_wide(tmp_path):
    table = read(tmp_path, "condition,1,2\na,0.5,0.25\nb,1.5,-2e-1\n", wide=True, metrics=["score"])
    assert values(table, "score") == EXPECTED
    short = read(tmp_path, "condition,1,2\na,0.5,0.25\nb,1.5,\n", wide=True)
    assert values(short, "value") == EXPECTED[:3]


def test_labels_keep_their_own_names(tmp_path):
    """Whole numbers sort as numbers; 7 and 007 are two seeds."""
    assert read_outcomes(TABLE).nest("alignment").pipelines[:3].tolist() == [42, 137, 256]
    table = read(tmp_path, "condition,pipeline,score\na,7,1\na,007,2\n")
    assert table.nest("score").pipelines.tolist() == ["7", "007"]


def test_items_are_averaged_within_models_and_samples_stay(tmp_path):
    text = "condition,pipeline,{},score\n" + "".join(
        f"{c},{p},{i},{v}\n" for c, p, i, v in [("a", 1, "q", 0), ("a", 1, "r", 1), ("b", 1, "q", 1), ("b", 1, "r", 1)]
    )
    items = read(tmp_path, text.format("item"))
    assert items.nest("score").values.tolist() == [0.5, 1.0]
    assert "items were averaged" in items.notes[0]
    assert read(tmp_path, text.format("sample")).nest("score").values.tolist() == [0, 1, 1, 1]


def test_models_that_answered_other_items_are_refused(tmp_path):
    table = read(tmp_path, "condition,pipeline,item,score\na,1,q,0\na,1,r,1\nb,1,q,1\n")
    with pytest.raises(InputError, match="condition b, pipeline 1 has 1 of 2 items"):
        table.nest("score")


def test_only_the_chosen_metric_is_read(tmp_path):
    text = "condition,pipeline,score,comment\na,1,0.5,fine\na,2,0.25,diverged?\n"
    table = read(tmp_path, text, metrics=["score"])
    assert (table.metrics, table.notes) == (("score",), ("columns not used: comment",))
    long = read(tmp_path, "condition,pipeline,metric,value\na,1,x,1\na,1,y,broken\n", metrics=["x"])
    assert long.metrics == ("x",)


def test_a_bare_seed_column_says_how_it_was_read(tmp_path):
    table = read(tmp_path, "condition,seed,score\na,1,0.5\n")
    assert "rename it to stage_seed" in table.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conditon,pipeline,x\na,1,2\n", r"t.csv has no column 'condition': did you mean 'conditon'\?"),
        ("condition,pipeline_sed,x\na,1,2\n", "no column 'pipeline': did you mean 'pipeline_sed'?"),
        (
            "condition,a,x\na,1,2\n",
            r"no column 'pipeline': name it so \(or pipeline_seed, seed\); the other columns are a, x",
        ),
        ("condition,42,137\na,1,2\n", "say so with --wide"),
        ("condition,pipeline,seed,x\na,1,1,2\n", "columns 'pipeline' and 'seed' for the pipeline.*stage_seed"),
        ("condition,pipeline,item,sample,x\na,1,1,1,2\n", "columns 'sample' and 'item'"),
        ("condition,pipeline\na,1\n", "has places and no values"),
        ("condition,pipeline,x,x\na,1,2,3\n", "two columns 'x'"),
        ("condition,pipeline,,x\na,1,2,3\n", "column 3 has no name"),
        ("condition,pipeline,x\na,1,2\na,2,two\n", "t.csv:3: x is 'two', not a number"),
        ("condition,pipeline,x\n\na,1,2\na,2,two\n", "t.csv:4: x is 'two', not a number"),
        ('condition,pipeline,x\na,1,"0,764"\n', "write decimals with a point"),
        ("condition,pipeline,x\na,1,1_000\n", "'1_000', not a finite number"),
        ("condition,pipeline,x\na,1,nan\n", "t.csv:2: x is 'nan', not a finite number; look for a diverged run"),
        ("condition,pipeline,x\na,1,inf\n", "not a finite number"),
        ("condition,pipeline,x\na,1,\n", "t.csv:2: the cell of x is empty"),
        ("condition,pipeline,x\n,1,2\n", "t.csv:2 has no condition"),
        ("condition,pipeline,x\na,1\n", "t.csv:2 has 2 cells and the header 3"),
        (
            "condition,pipeline,x\na,1,2\nb,1,2\na,1,3\n",
            r"t.csv:4 repeats the place of t.csv:2 \(condition a, pipeline 1\)",
        ),
        ('condition,pipeline,x\na,"1,2\n', "t.csv:2 is not a row of the table"),
        ("condition,pipeline,x\n", "holds no row of values"),
        ("", "holds no row of values"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("condition,pipeline,score\na,1,2\n", {"metrics": ["scor"]}, r"no metric 'scor': did you mean 'score'\?"),
        ("condition,pipeline,metric,value\na,1,x,2\n", {"metrics": ["y"]}, "no metric 'y': there are x"),
        ("name,1,2\na,1,2\n", {"wide": True}, "no column 'condition'"),
        ("condition,1,2\na,1,2\na,3,4\n", {"wide": True}, "two rows of condition 'a'"),
        ("condition,1,2\na,1,b\n", {"wide": True}, "t.csv:2: value is 'b', not a number"),
        ("condition,1,2\na,,\n", {"wide": True}, "holds no value"),
        ("condition,1,2\na,1,2\n", {"wide": True, "metrics": ["x", "y"]}, "one --metric"),
    ],
)
def test_bad_choices_are_refused(tmp_path, text, options, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, text, **options)


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(InputError, match=r"not '\.txt'"):
        read(tmp_path, "x", name="t.txt")
    with pytest.raises(InputError, match="not a Parquet table"):
        read(tmp_path, "x", name="t.parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_outcomes(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_outcomes(tmp_path / "absent.parquet")
    with pytest.raises(InputError, match=r"t.jsonl:1: x is 'True', not a number"):
        read(tmp_path, '{"condition": "a", "pipeline": 1, "x": true}\n', name="t.jsonl")


def test_a_table_made_in_python():
    frame = pl.DataFrame({"condition": ["a", "b"], "pipeline": ["1", "1"], "metric": ["m", "m"], "value": [1.0, 2.0]})
    nest = Outcomes(frame=frame, source="here").nest("m")
    np.testing.assert_array_equal(nest.values, [1, 2])
    with pytest.raises(InputError, match=r"here has no metric 'n'"):
        Outcomes(frame=frame, source="here").nest("n")
