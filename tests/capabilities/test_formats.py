import json

import pytest
from bench_files import BLIMP, LABELS, MMLU, PAGES, SUMS, WSC, archive, copa_xml, lines, write

from imprint.capabilities import formats
from imprint.errors import CorpusError


def test_balanced_copa_keeps_the_pair_together(tmp_path):
    rows = formats.read_copa(write(tmp_path, "copa.xml", copa_xml(2)))
    assert [(row["label"], row["group"]) for row in rows] == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert rows[0] | {"group": 0, "label": 0} == {
        "premise": "The sun set.", "choice1": "It got dark.", "choice2": "It got hot 1.", "question": "effect",
        "label": 0, "group": 0,
    }  # fmt: skip


def test_winograd_schemas(tmp_path):
    rows = formats.read_wsc273(write(tmp_path, "wsc.xml", WSC))
    assert rows[0]["text"] == "The trophy does not fit in the case because it is too big."
    assert [row["text"][row["pronoun_loc"] :].split()[0] for row in rows] == ["it", "it", "She"]
    assert [row["label"] for row in rows] == [0, 1, 0]
    assert [row["group"] for row in rows] == [0, 0, 1]
    assert rows[0]["options"] == ["The trophy", "the case"]


def test_tables(tmp_path):
    assert formats.read_mmlu(write(tmp_path, "a.csv", MMLU))[0] == {
        "question": "Two, and two?", "choices": ["3", "4", "5", "6"], "answer": 1
    }  # fmt: skip
    assert formats.read_sst2(write(tmp_path, "b.tsv", "a fine\tday\t1\n")) == [{"sentence": "a fine\tday", "label": 1}]
    rte = 'sentence1\tsentence2\tlabel\tidx\nHe "said" so.\tSo.\t0\t7\n'
    assert formats.read_rte(write(tmp_path, "c.tsv", rte))[0]["sentence1"] == 'He "said" so.'
    virtue = write(tmp_path, "d.csv", "label,scenario\n1,Al gave all. [SEP] kind\n")
    assert formats.read_ethics(virtue) == [{"label": 1, "scenario": "Al gave all.", "trait": "kind"}]
    util = write(tmp_path, "e.csv", '"I won, then.",I lost.\n')
    assert formats.read_utilitarianism(util) == [{"activity": "I won, then.", "baseline": "I lost."}]


def test_a_byte_order_mark_is_no_part_of_a_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + b"label,scenario\n1,Fine.\n")
    assert formats.read_ethics(path)[0]["label"] == 1


def test_pages_of_wikitext_begin_at_titles_and_lose_nothing(tmp_path):
    pages = [row["page"] for row in formats.read_wikitext(write(tmp_path, "t.txt", PAGES))]
    assert [page.split("\n")[0] for page in pages] == [" = One = ", " = Two = "]
    assert "".join(pages) == PAGES


def test_archives_are_read_in_place(tmp_path):
    path = archive(tmp_path / "x" / "a.tar.xz", {"data/a.jsonl": BLIMP, "data/b.txt": "no"})
    found = formats.archive_members(path, lambda name: name.endswith(".jsonl"))
    assert formats.blimp_rows(found["data/a.jsonl"], "a")[1]["sentence_bad"] == "A dog bark."
    assert list(found) == ["data/a.jsonl"]
    assert [child.name for child in path.parent.iterdir()] == ["a.tar.xz"]


def test_bigbench_is_framed_as_its_own_json_tasks_are():
    row = formats.bigbench_rows(json.dumps(SUMS), "sums")[2]
    assert row["inputs"] == "Q: 2 plus 1?\n  choice: 2\n  choice: 3\nA:"
    assert (row["multiple_choice_targets"], row["multiple_choice_scores"]) == (["2", "3"], [0, 1])
    assert row["targets"] == ["3"]
    bare = SUMS | {"append_choices_to_input": False, "task_prefix": "Add.", "example_input_prefix": " "}
    assert formats.bigbench_rows(json.dumps(bare), "sums")[2]["inputs"] == "Add. 2 plus 1?\nA:"


def test_instructions(tmp_path):
    shared, rows = formats.read_instructions(write(tmp_path, "t.json", json.dumps(LABELS)))
    assert shared["definition"] == "Is the review good or bad?"
    assert rows[1] == {"input": "Text 1", "output": ["good"]}


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (lambda path: formats.read_jsonl(path, ["answer"]), lines({"question": "?"}), "row 1 has no gold answer"),
        (lambda path: formats.read_jsonl(path, ["answer"]), "{'a': 1}\n", "line 1 is not JSON"),
        (lambda path: formats.read_jsonl(path, ["answer"]), "[1]\n", "not an object"),
        (formats.read_math, lines({"question": "?", "answer": "2"}), "row 1 has no gold answer"),
        (formats.read_bbh, json.dumps({"examples": [{"input": "a"}]}), "row 1 has no gold answer ('target' is None)"),
        (formats.read_bbh, json.dumps({"examples": []}), "holds no items"),
        (formats.read_sst2, "good film\t1\nno label\n", "row 2 has no gold answer"),
        (formats.read_sst2, "good film\tgood\n", "row 1 has the label 'good'"),
        (formats.read_rte, "sentence1\tsentence2\tlabel\tidx\na\tb\t-1\t0\n", "'label' is -1"),
        (formats.read_mmlu, "question,choice0,choice1,choice2,choice3\nq,1,2,3,4\n", "row 1 has no gold answer"),
        (formats.read_ethics, "label,scenario\n,Fine.\n", "row 1 has no gold answer"),
        (formats.read_utilitarianism, "only one\n", "row 1 has no gold answer"),
        (formats.read_copa, copa_xml(1).replace(' most-plausible-alternative="2"', ""), "row 2 has no gold answer"),
        (formats.read_wsc273, WSC.replace("<correctAnswer>B</correctAnswer>", ""), "row 2 has no gold answer"),
        (formats.read_wsc273, WSC[:100], "not well-formed XML"),
        (formats.read_instructions, json.dumps({"Definition": "x"}), "no 'Positive Examples'"),
        (formats.read_wikitext, " \n", "is empty"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(tmp_path, read, text, said):
    path = write(tmp_path, "task", text)
    with pytest.raises(CorpusError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("read", [formats.read_sst2, formats.read_copa, formats.read_mmlu])
def test_a_missing_file(tmp_path, read):
    with pytest.raises(CorpusError, match="cannot be read"):
        read(tmp_path / "absent")


def test_a_broken_archive(tmp_path):
    with pytest.raises(CorpusError, match="archive cannot be read"):
        formats.archive_members(write(tmp_path, "a.tar.xz", "not one"), bool)
    with pytest.raises(CorpusError, match="no 'examples'"):
        formats.bigbench_rows(json.dumps({"name": "programmatic"}), "task.json")
