import csv
import io
import re

import numpy as np
import pytest
from pydantic import ValidationError
from small_corpora import subjects

from imprint.corpus import Corpus, Document
from imprint.corpus.clusters import (
    Clustering,
    Sheet,
    SheetOptions,
    annotation_report,
    document_excerpts,
    domains,
    draw_sheet,
    read_labels,
)
from imprint.errors import ConfigError, CorpusError


@pytest.fixture
def corpus():
    return subjects(per_subject=30)


@pytest.fixture
def sheet(corpus):
    return drawn(corpus)


def drawn(corpus, **options):
    return draw_sheet(domains(corpus), document_excerpts(corpus, seed=0), SheetOptions(**options))


def filled(sheet, folder, name, label, columns=("item", "label")):
    """A CSV file with `label(item)` for every item."""
    lines = [",".join(columns), *(f"{item.item},{label(item)}" for item in sheet.items)]
    path = folder / f"{name}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def rows(sheet):
    return list(csv.DictReader(io.StringIO(sheet.csv(), newline="")))


def test_every_cluster_is_sampled_without_repetition(corpus):
    sheet = drawn(corpus, share=0.2, minimum=2)
    assert len({item.member for item in sheet.items}) == len(sheet.items) == 18
    for item in sheet.items:
        assert item.member.startswith(item.cluster)
    assert [len([item for item in drawn(corpus).items if item.cluster == name]) for name in sheet.clusters] == [5, 5, 5]
    assert len(drawn(corpus, minimum=1000).items) == 90


def test_noise_is_not_on_the_sheet(corpus):
    labels = np.where(domains(corpus).labels == 2, -1, domains(corpus).labels)
    noisy = Clustering(unit="document", method="m", labels=labels, names=("cooking", "music"), ids=corpus.ids)
    sheet = draw_sheet(noisy, document_excerpts(corpus, seed=0), SheetOptions(minimum=30))
    assert {item.cluster for item in sheet.items} == {"cooking", "music"}


def test_csv_has_empty_annotator_columns(sheet):
    assert list(rows(sheet)[0]) == ["item", "cluster", "text", "annotator", "label", "comment"]
    assert all(row["label"] == row["annotator"] == row["comment"] == "" for row in rows(sheet))
    assert [row["text"] for row in rows(sheet)] == [item.text for item in sheet.items]


def test_blind_hides_the_cluster_everywhere_but_in_the_key(corpus, tmp_path):
    sheet = drawn(corpus, blind=True)
    sheet.save(tmp_path)
    for name in ("sheet.csv", "sheet.html"):
        shown = (tmp_path / name).read_text()
        assert not re.search("cooking|sailing|music", shown)
    assert Sheet.load(tmp_path) == sheet
    order = [item.cluster for item in sheet.items]
    assert order != sorted(order)


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula(start):
    documents = [Document(id=str(n), text=f"{start} {n}", domain=f"d{n % 2}") for n in range(4)]
    sheet = drawn(Corpus(documents=tuple(documents)))
    assert all(row["text"].startswith("'" + start) for row in rows(sheet))


def test_markup_is_text_on_the_page():
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)> \" ' & $items ${choices}"
    documents = [Document(id=str(n), text=hostile, domain=f"<b>{n}") for n in range(2)]
    page = drawn(Corpus(documents=tuple(documents)), labels=("<i>", "b")).html()
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "$items ${choices}" in page
    assert page.count("<script>") == 1
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)


def test_excerpts_begin_at_a_word_and_are_bounded(corpus):
    text = " ".join(f"word{number}" for number in range(500))
    one = Corpus(documents=(Document(id="a", text=text, domain="d"),))
    for seed in range(20):
        shown = document_excerpts(one, seed=seed, characters=50)(0)
        assert len(shown) <= 50
        assert re.match(r"word\d+ ", shown)
    assert document_excerpts(corpus, seed=0, characters=10_000)(0) == corpus.documents[0].text


def test_round_trip_of_the_sheet_itself(sheet, tmp_path):
    """The file as exported, filled in by a spreadsheet program, reads back; with a semicolon and a BOM too."""
    sheet.save(tmp_path)
    written = rows(sheet)
    for row, item in zip(written, sheet.items, strict=True):
        row["label"] = f" {item.cluster.upper()} "
    for delimiter, encoding in ((",", "utf-8"), (";", "utf-8-sig")):
        target = io.StringIO(newline="")
        writer = csv.DictWriter(target, fieldnames=list(written[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(written)
        path = tmp_path / "anna.csv"
        path.write_bytes(target.getvalue().encode(encoding))
        found = read_labels([path], sheet)
        assert found == {("anna", item.item): item.cluster for item in sheet.items}


def test_agreement_and_coherence(sheet, tmp_path):
    files = [filled(sheet, tmp_path, name, lambda item: item.cluster) for name in ("ann", "bob")]
    report = annotation_report(sheet, read_labels(files, sheet), seed=0)
    assert (report.annotators, report.items, report.labelled) == (("ann", "bob"), 15, 15)
    assert report.agreement.estimate == 1.0
    for one in report.clusters:
        assert (one.modal_label, one.coherence.estimate, one.coherence.n) == (one.cluster, 1.0, 5)
        assert one.coherence.low == pytest.approx(0.5655, abs=1e-4)  # Wilson, 5 of 5


def test_majority_and_ties(sheet, tmp_path):
    """Two of three say "odd" of one cooking item; of another all three differ, which is no majority."""
    cooking = [item.item for item in sheet.items if item.cluster == "cooking"]
    answers = {"a": ("odd", "x"), "b": ("odd", "y"), "c": ("food", "z")}
    files = [
        filled(
            sheet, tmp_path, name, lambda item, said=said: dict(zip(cooking, said, strict=False)).get(item.item, "food")
        )
        for name, said in answers.items()
    ]
    report = annotation_report(sheet, read_labels(files, sheet), seed=0)
    verdict = next(one for one in report.clusters if one.cluster == "cooking")
    assert (verdict.modal_label, verdict.labelled, verdict.coherence.estimate) == ("food", 5, 0.6)


def test_random_labels_do_not_agree(sheet, tmp_path):
    generator = np.random.default_rng(0)
    files = [filled(sheet, tmp_path, name, lambda item: generator.choice(["a", "b", "c"])) for name in ("ann", "bob")]
    report = annotation_report(sheet, read_labels(files, sheet), seed=0)
    assert report.agreement.low < 0 < report.agreement.high


def test_one_annotator_has_coherence_but_no_agreement(sheet, tmp_path):
    report = annotation_report(sheet, read_labels([filled(sheet, tmp_path, "ann", lambda item: "x")], sheet), seed=0)
    assert report.agreement is None
    assert "give the labels of at least 2" in report.agreement_note
    assert all(one.coherence.estimate == 1 for one in report.clusters)


def test_several_annotators_in_one_file(sheet, tmp_path):
    path = tmp_path / "all.csv"
    lines = [f"{item.item},{who},x" for item in sheet.items for who in ("ann", "bob")]
    path.write_text("\n".join(["item,annotator,label", *lines]))
    assert {who for who, _ in read_labels([path], sheet)} == {"ann", "bob"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,comment\n", r"x.csv:1 has no column 'label' (columns seen: 'item', 'comment'); keep the sheet's header"),
        ("", "x.csv:1 has no column 'item' (columns seen: none)"),
        ("item,label\nitem-0001,code\nitem-9,code\n", "x.csv:3: item 'item-9' is not on the sheet"),
        ('item,label,comment\nitem-0001,code,"a\nb"\nitem-9,code,\n', "x.csv:4: item 'item-9' is not on the sheet"),
        (
            "item,label\nitem-0001,algebra\n",
            "x.csv:2: the label 'algebra' is not offered by the sheet; use one of: code",
        ),
        ("item,label\nitem-0001,code\nitem-0001,prose\n", "x.csv:3: annotator 'x' labels item-0001 a second time"),
        ("item,label\nitem-0001\n", "x.csv:2 has 1 cells for 2 columns"),
        ('item,label\n"item-0001,code\n', "not valid CSV"),
        ("item,label\nitem-0001,\nitem-0002, \n", "no label is filled in"),
    ],
)
def test_bad_files_are_one_sentence_with_the_line(corpus, tmp_path, text, message):
    sheet = drawn(corpus, labels=("code", "prose"))
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(CorpusError, match=re.escape(message)) as caught:
        read_labels([path], sheet)
    assert "\n" not in str(caught.value)


def test_bad_bytes_and_bad_keys(sheet, tmp_path):
    (tmp_path / "x.csv").write_bytes(b"item,label\nitem-0001,\xff\xfe\n")
    with pytest.raises(CorpusError):
        read_labels([tmp_path / "x.csv"], sheet)
    with pytest.raises(CorpusError, match="the key that was written beside the sheet"):
        Sheet.load(tmp_path)
    (tmp_path / "sheet.json").write_text('{"unit": "document"}')
    with pytest.raises(CorpusError, match="is not the key of a validation sheet") as caught:
        Sheet.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.0}, "greater than 0"),
        ({"share": 1.5}, "less than or equal to 1"),
        ({"minimum": 0}, "greater than or equal to 1"),
        ({"labels": ("Code", "code")}, "a label occurs twice in Code, code"),
    ],
)
def test_bad_options(corpus, options, message):
    with pytest.raises((ConfigError, ValidationError), match=re.escape(message)):
        drawn(corpus, **options)
