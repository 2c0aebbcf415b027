import polars as pl
import pytest

from imprint.capabilities import items_frame, paired, read_items, write_items
from imprint.errors import ConfigError, InputError


def rows(*numbers, task="a", **values):
    return [{"suite": "s", "task": task, "item": number, "log_prob": -float(number)} | values for number in numbers]


def test_a_frame_comes_back_from_its_file_as_it_was(tmp_path):
    frame = items_frame(rows(0, 1, correct=1.0, options=[-1.0, -2.0], gold="x"))
    write_items(frame, tmp_path / "items.parquet")
    assert read_items(tmp_path / "items.parquet").equals(frame)
    assert frame["words"].to_list() == [None, None]


def test_pairs_are_made_by_task_and_item_whatever_the_order():
    base = items_frame(rows(0, 1, 2) + rows(0, task="b"))
    other = items_frame(rows(0, task="b", correct=0.5) + rows(2, 1, 0, correct=1.0))
    both = paired(base, other)
    assert both["item"].to_list() == [0, 1, 2, 0]
    assert both["correct_other"].to_list() == [1.0, 1.0, 1.0, 0.5]
    assert both["log_prob"].to_list() == both["log_prob_other"].to_list()


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (rows(0, 1), rows(0), "1 items are only in the first arm (the first is s/a/1)"),
        (rows(0), rows(0, 3), "1 items are only in the second arm (the first is s/a/3)"),
        (rows(0, 0), rows(0), "s/a/0 occurs more than once in the first arm"),
        (rows(0), rows(0, task="b"), "only in the first arm"),
    ],
)
def test_arms_that_cannot_be_paired(first, second, said):
    with pytest.raises(InputError) as caught:
        paired(items_frame(first), items_frame(second))
    assert said in str(caught.value)


def test_no_items():
    with pytest.raises(InputError, match="No items were scored"):
        items_frame([])


def test_files_that_are_no_items(tmp_path):
    with pytest.raises(ConfigError, match="not a table of items"):
        read_items(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(ConfigError, match="not a table of items"):
        read_items(tmp_path / "text.parquet")
    pl.DataFrame({"suite": ["a"]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(ConfigError, match="no column 'task'"):
        read_items(tmp_path / "other.parquet")
