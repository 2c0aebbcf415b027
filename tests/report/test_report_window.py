"""The section on a window: records that survive JSON, sentences that follow the numbers, and both renderings."""

import json
from dataclasses import replace

import numpy as np
import pytest
from report_samples import HOSTILE, full
from window_samples import HEADS, INDUCTION, findings

from imprint.report import WindowFindingsRecord, render_html, render_markdown, window_record
from imprint.report.window import findings as sentences
from imprint.report.window import window_view


@pytest.fixture(scope="module")
def record():
    return window_record(findings())


def test_the_record_survives_json_and_keeps_the_numbers(record):
    assert WindowFindingsRecord.model_validate_json(record.model_dump_json()) == record
    source = findings()
    subjects = {pair.subject for pair in record.agreements}
    assert {"probes at step 400", "checkpoints by consensus", "the window's mean rank"} <= subjects
    assert len(record.agreements) == 3 * 3 + 4 * 3 + 4
    matrix, found = record.transfer[1], source.transfer["contrastive"]
    one, other = found.heads.index("L1.H1"), found.heads.index("L1.H4")
    pair = next(pair for pair in matrix.pairs if (pair.one, pair.other) == ("L1.H1", "L1.H4"))
    assert pair.overlap.estimate == found.overlap[one, other]
    assert pair.spearman.low == found.spearman_low[one, other]
    assert len(matrix.pairs) == len(found.heads) * (len(found.heads) - 1) // 2
    assert matrix.flat == ("L0.H7",)
    assert record.induction_heads == INDUCTION


def test_sentences_say_what_came_out_beside_chance(record):
    told = " ".join(sentences(record))
    for words in (
        "Two probes at one checkpoint share",
        "Two checkpoints, by the consensus share",
        "tops that share only their domains would share 0.1",
        "by contrastive: among induction heads",
        "chance 0.1",
        "p = 0.018",  # the best of 56 arrangements
        "was shown evenly over the window",
    ):
        assert words in told.replace("\u00a0", " "), words


def test_what_was_not_tested_says_so(record):
    few = findings()
    lonely = replace(
        few.transfer["contrastive"].contrast, within=None, difference=None, p=None, note="1 induction head(s)"
    )
    changed = replace(few, transfer={"contrastive": replace(few.transfer["contrastive"], contrast=lonely)})
    told = " ".join(sentences(window_record(changed)))
    assert "Not tested: 1 induction head(s)." in told
    assert "among induction heads" not in told


def test_an_uneven_window_is_said_to_be_uneven():
    source = findings()
    uneven = replace(source.time, p=0.002, largest_batch=0.9)
    told = sentences(window_record(replace(source, time=uneven)))[-1]
    assert "unevenly" in told
    assert "more than the" in told
    assert "no more than the" not in told


def test_one_checkpoint_has_no_sentence_on_checkpoints(record):
    alone = record.model_copy(
        update={"agreements": tuple(pair for pair in record.agreements if pair.subject.startswith("probes"))}
    )
    assert not any("Two checkpoints" in sentence for sentence in sentences(alone))


def test_heat_maps_hold_every_ordered_pair_with_ones_on_the_diagonal(record):
    view = window_view(record)
    assert [figure.name for figure in view.figures] == ["transfer-0", "transfer-1", "window-time"]
    cells = view.heat_maps[1].spec["datasets"]["layer-0"]
    heads = record.transfer[1].heads
    assert len(cells) == len(heads) ** 2
    values = {(cell["one"], cell["other"]): cell for cell in cells}
    assert all(values[head, head]["value"] == 1 for head in heads)
    assert all(values[one, other]["value"] == values[other, one]["value"] for one in heads for other in heads)
    outlined = {pair for pair, cell in values.items() if cell["weight"] > 1}
    assert outlined == {(one, other) for one in INDUCTION for other in INDUCTION if one != other}
    assert "L0.H7" in view.heat_maps[0].note
    assert "L0.H7" in HEADS


def test_time_bars_are_the_shares(record):
    bars = window_view(record).time.spec["datasets"]["layer-0"]
    assert [bar["share"] for bar in bars] == list(record.time.shares)
    assert (bars[0]["from"], bars[-1]["to"]) == (20, 100)
    assert np.isclose(sum(bar["share"] for bar in bars), 1)


def test_both_renderings_have_the_section_only_when_there_is_one(record):
    data = full()
    assert 'id="window"' not in render_html(data)
    assert "Over the window" not in render_markdown(data)
    with_window = data.model_copy(update={"attribution_window": record})
    page, text = render_html(with_window), render_markdown(with_window)
    for words in ('<section id="window"', 'href="#window"', 'data-chart="transfer-1"', 'data-chart="window-time"'):
        assert words in page
    start = page.index('id="specs">') + len('id="specs">')
    specs = json.loads(page[start : page.index("</script>", start)])
    assert {"transfer-0", "transfer-1", "window-time"} <= set(specs)
    assert "## Over the window and the heads" in text
    assert "| contrastive: one head | other |" in text
    assert "| L1.H1 | L1.H4 |" in text


def test_names_from_the_data_cannot_leave_the_page(record):
    hostile = record.model_copy(
        update={"transfer": tuple(matrix.model_copy(update={"query": HOSTILE}) for matrix in record.transfer)}
    )
    data = full().model_copy(update={"attribution_window": hostile})
    assert "<script>alert(1)" not in render_html(data)
    assert "<script>" not in render_markdown(data)
    assert "alert(1)" in render_markdown(data)


def test_no_window_no_view():
    assert window_view(None) is None
