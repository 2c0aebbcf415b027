import pytest

from imprint.corpus.augmentation.lines import line_templates, merge, slot_values
from imprint.corpus.augmentation.nesting import NOTATIONS, read_tree
from imprint.corpus.augmentation.parts import Choice, Constant, Repeat, Reuse, Slot
from imprint.corpus.augmentation.placeholders import escaped, places
from imprint.corpus.augmentation.templates import shared_templates
from imprint.corpus.augmentation.values import fresh_part, recurring_part, value_part

LINES = "open file 12 ok\nopen file 7 ok\nsomething else\nopen file 9 ok"


def test_lines_that_agree_become_a_template():
    (found,) = line_templates(LINES)
    assert found.tokens == ("open", " ", "file", " ", None, " ", "ok")
    assert found.values == (("12",), ("7",), ("9",))
    assert found.lines == 3


def test_slots_of_several_tokens_are_aligned():
    (found,) = line_templates("user bob logged in\nuser mary ann logged in\nuser x y z logged in")
    assert found.tokens == ("user", " ", None, " ", "logged", " ", "in")
    assert found.values == (("bob",), ("mary ann",), ("x y z",))


@pytest.mark.parametrize("text", ["", "one line", "a b c\nd e f\ng h i", "(1)\n(2)\n(3)", "x\nx", "{ }\n{ }\n{ }"])
def test_lines_that_share_too_little(text):
    assert line_templates(text) == []


def test_merge_keeps_what_both_have():
    assert merge(["a", "=", "1"], ["a", "=", "2"]) == ("a", "=", None)
    assert merge(["a", "=", None], ["a", "=", "2"]) == ("a", "=", None)
    assert merge(["a", "b", "c", "d"], ["a", "c", "d"]) == ("a", None, "c", "d")


@pytest.mark.parametrize(
    ("tokens", "line", "values"),
    [
        (["a", None, "b"], "axxb", ("xx",)),
        (["a", None, "b"], "ab", ("",)),
        (["a", None, "a"], "a", None),
        ([None, "=", None], "x=y=z", ("x", "y=z")),
        ([None, " ", None, "."], "a b. c.", ("a", "b. c")),
        (["a"], "a", ()),
        (["a"], "b", None),
        (["x", None], "y", None),
    ],
)
def test_values_of_slots(tokens, line, values):
    assert slot_values(tokens, line) == values


def test_many_slots_take_no_time():
    """A regular expression would try every division of the line among the slots."""
    assert slot_values([None, " "] * 60 + ["end"], "x " * 4000 + "eend") is None


def test_templates_are_shared_by_their_skeleton():
    texts = [f"{verb} file 1\n{verb} file 2\n{verb} file 3" for verb in ("open", "close", "read")]
    (found,) = shared_templates(texts, least_documents=3)
    assert sorted(found.seen) == [0, 1, 2]
    assert found.lines == 9
    assert shared_templates(texts[:2], least_documents=3) == []


@pytest.mark.parametrize(
    ("values", "of"),
    [
        (["12", "7", "1234"], "integer"),
        (["abc", "xy", "q"], "word"),
        (["aB_1", "x9", "Foo"], "identifier"),
        (["10.0.0.1", "127.0.0.1", "8.8.8.8"], "ip"),
        (["0f3a", "77be", "9a0c"], "hex"),
        (["a-b", "c+d", "!"], "characters"),
        (["a", "b"] * 10, "pool"),
    ],
)
def test_values_have_a_type(values, of):
    assert value_part(values).of == of


def test_constants_and_phrases():
    assert value_part(["x", "x"]) == Constant(text="x")
    phrase = value_part(["one two", "three four five", "six seven"])
    assert isinstance(phrase, Repeat)
    assert phrase.count == (2, 3)
    assert phrase.separator == " "


def test_values_that_recur_within_a_document_are_bound():
    fixed = [[str(number) * 5] * 6 for number in range(10, 90)]
    binds, part = recurring_part(fixed, "v")
    assert isinstance(part, Reuse)
    assert [bind.name for bind in binds] == ["v-0"]
    two = [[f"{number}1", f"{number}2"] * 4 for number in range(100, 180)]
    binds, part = recurring_part(two, "v")
    assert len(binds) == 2
    assert isinstance(part, Choice)
    binds, part = recurring_part([[f"{row}{place}" for place in range(100, 110)] for row in range(90)], "v")
    assert binds == ()
    assert isinstance(part, Slot)


def test_fresh_text_has_the_tokens_or_else_the_characters():
    words = fresh_part(["the cat ", "the dog "])
    assert dict(zip(words.pool, words.weights, strict=True)) == {" ": 4, "the": 2, "cat": 1, "dog": 1}
    characters = fresh_part([f"w{number}" for number in range(3000)])
    assert set(characters.pool) == set("w0123456789")


TAGS, ENVIRONMENTS, ROUND = NOTATIONS[0], NOTATIONS[1], NOTATIONS[2]


def test_a_tree_is_read():
    tree = read_tree("<a><b>x</b><b>y</b></a><c>z</c>", TAGS)
    assert (tree.depth, tree.roots, tree.stray, tree.marked) == (2, 2, 0, 28)
    assert sorted(tree.names) == ["a", "b", "b", "c"]
    assert tree.children == [2]
    assert tree.leaves == ["x", "y", "z"]


def test_environments_and_brackets():
    assert read_tree(r"\begin{a}\begin{b}x\end{b}\end{a}", ENVIRONMENTS).depth == 2
    tree = read_tree("(1(2)(3))", ROUND)
    assert (tree.depth, tree.children, tree.leaves) == (2, [2], ["2", "3"])


@pytest.mark.parametrize("text", ["<a><b></a>", "</a><a>", "<a>", ")("])
def test_what_does_not_belong_together_is_stray(text):
    assert sum(read_tree(text, notation).stray for notation in (TAGS, ROUND)) > 0


def test_places_of_a_template():
    assert places("a{x}{{b}}") == [("a", None), ("", "x"), ("{", None), ("b", None), ("}", None)]
    assert "".join(text for text, _ in places(escaped("{a}{{"))) == "{a}{{"
