import base64
import math
import re
import uuid
import zlib

import numpy as np
import pytest

from imprint.corpus.structure import LEXEME, covered, structure

ID = str(uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF))


def one(text):
    return {name: float(values[0]) for name, values in structure([text]).columns().items()}


def test_tags_are_counted_by_the_characters_inside_them():
    assert one('<b>xy</b><i class="q">z')["tags"] == pytest.approx((3 + 4 + 13) / 23)
    assert one("a < b and c > d")["tags"] == 0


def test_brackets_and_digits():
    assert one("f(a[1], {2})")["brackets"] == pytest.approx(6 / 12)
    assert one("a1b22c")["digits"] == pytest.approx(3 / 6)
    assert one("é1")["digits"] == pytest.approx(1 / 2), "characters, not bytes"


def test_latex_commands():
    assert one(r"\frac{a}{b} \, x")["latex"] == pytest.approx((5 + 2) / 16)
    assert one("C:\\1 plain")["latex"] == 0


def test_encoded_data():
    code = base64.b64encode(bytes(range(80))).decode()
    assert one(code)["base64"] == 1
    assert one(f"{ID} ab")["uuid"] == pytest.approx(36 / 39)
    assert one("internationalisation" * 2)["base64"] == 0, "letters of one case are a word"
    assert one("aGk= x")["base64"] == pytest.approx(4 / 6)
    assert one("if x==y")["base64"] == 0


def test_log_lines():
    text = "2015-10-18 18:01:47,978 INFO [main] created\nplain words here\n"
    assert one(text)["log_lines"] == pytest.approx(43 / len(text))
    assert one("081109 203615 148 INFO dfs.DataNode: x")["log_lines"] == 1
    assert one("We met at 18:01:47 sharp.")["log_lines"] == 0


def test_repetition_is_of_byte_8_grams():
    assert one("abcdefgh" * 2)["repetition"] == pytest.approx(1 / 9)
    assert one("abcdefg")["repetition"] == 0
    assert one("abcdefghijklmnop")["repetition"] == 0


def test_compression_is_that_of_zlib():
    text = "hello " * 50
    assert one(text)["compression"] == len(zlib.compress(text.encode(), 6)) / 300


def test_entropies():
    assert one("aabb")["character_entropy"] == pytest.approx(1)
    assert one("the cat the dog")["token_entropy"] == pytest.approx(1.5)
    assert one("aaaa")["token_entropy"] == one("aaaa")["character_entropy"] == 0
    assert math.copysign(1, one("aaaa")["token_entropy"]) == 1


def test_a_text_does_not_change_its_neighbours():
    texts = [
        "<b>x</b>",
        "",
        "\\begin{a}",
        ID,
        "2015-10-18 18:01:47 INFO x",
        "<unclosed",
        "tag>",
        "\\",
        "x\n",
        "aGk",
        "=",
    ]
    together, alone = structure(texts).columns(), [one(text) for text in texts]
    for name, values in together.items():
        assert values.tolist() == pytest.approx([each[name] for each in alone]), name


def test_chunks_do_not_matter(monkeypatch):
    texts = [f"line {number} <b>{'ab' * number}</b>" for number in range(70)]
    whole = structure(texts).columns()
    monkeypatch.setattr("imprint.corpus.structure._CHUNK", 7)
    for name, values in structure(texts).columns().items():
        assert np.array_equal(values, whole[name]), name


def test_no_texts():
    assert all(values.shape == (0,) for values in structure([]).columns().values())


def test_covered_counts_each_text_alone():
    assert covered(["aXa", "", "XX"], re.compile("X")).tolist() == pytest.approx([1 / 3, 0, 1])


def test_lexemes_are_the_text():
    text = f"x_1 = {ID};\n\t2015-10-18 18:01:47 – ü!"
    assert "".join(LEXEME.findall(text)) == text
    assert ID in LEXEME.findall(text)
