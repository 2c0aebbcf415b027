import pytest
import torch
from handmade_heads import CONTEXT

from imprint.capabilities import repeat_probe
from imprint.errors import ConfigError
from imprint.mechanisms import ModelScore, PatternScore, score_heads, user_function, user_mechanism
from imprint.models import induction_transformer

SOURCE = """
import torch

LIMIT = 3

def before(patterns, tokens):
    places = torch.arange(2, tokens.shape[1])
    return patterns[..., places, places - 1].mean(-1).mean(1)

def size(model):
    heads = [block.attn.c_proj.weight.reshape(2, -1).norm(dim=-1) for block in model.transformer.h]
    return torch.stack(heads)[..., None].expand(-1, -1, 3)

def counts(patterns, tokens):
    return (patterns > 0.9).sum((1, 3, 4)) // tokens.shape[0]

def rows(patterns, tokens):
    return patterns.mean((3, 4))

def number(patterns, tokens):
    return 1.0

def holes(patterns, tokens):
    return patterns.mean((1, 3, 4)) * float("nan")

def broken(patterns, tokens):
    return patterns[99]

def flat(model):
    return torch.zeros(4, 3)

def three(patterns, tokens, extra):
    return patterns

def optional(patterns, tokens, scale=2.0):
    return scale * before(patterns, tokens)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture(scope="module")
def model():
    return induction_transformer(50, CONTEXT)


@pytest.fixture(scope="module")
def tokens():
    return repeat_probe(range(1, 50), period=20, rows=6, seed=0, bos=0).tokens


def mechanism(file, name, tokens):
    return user_mechanism(user_function(f"{file}:{name}"), tokens)


def test_a_function_of_patterns_names_its_head(file, model, tokens):
    mine = mechanism(file, "before", tokens)
    assert isinstance(mine, PatternScore)
    found = score_heads(model, mine)
    assert found.mechanism == "before"
    assert [head.head for head in found.heads if head.role] == ["L0.H0"]
    doubled = score_heads(model, mechanism(file, "optional", tokens))
    assert doubled.heads[0].score.estimate == pytest.approx(2 * found.heads[0].score.estimate)


def test_a_function_of_the_model_is_judged_against_fresh_ones(file, model, tokens):
    mine = mechanism(file, "size", tokens)
    assert isinstance(mine, ModelScore)
    found = score_heads(model, mine, initial_maxima=torch.full((19,), 10.0))
    assert {head.head: bool(head.role) for head in found.heads} == {
        "L0.H0": False,
        "L0.H1": False,
        "L1.H0": True,
        "L1.H1": False,
    }


def test_whole_numbers_will_do(file, model, tokens):
    assert (
        mechanism(file, "counts", tokens).rows(model)[0, 0].tolist() == [41.0] * 6
    )  # each position once; the BOS reads itself


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mine.py", "does not name a function"),
        ("mine.py:", "does not name a function"),
        (":before", "does not name a function"),
        ("absent.py:before", "no such Python file"),
        ("mine.py:absent", "has no function 'absent'; it has before, size, counts"),
        ("mine.py:LIMIT", "has no function 'LIMIT'"),
        ("mine.py:three", "takes 3 arguments"),
        ("wrong.py:before", "cannot be run: SyntaxError"),
        ("failing.py:before", "cannot be run: ZeroDivisionError"),
        ("notes.txt:before", "no such Python file"),
    ],
)
def test_addresses_that_lead_nowhere(file, address, message):
    (file.parent / "wrong.py").write_text("def before(:\n")
    (file.parent / "failing.py").write_text("1 / 0\n")
    (file.parent / "notes.txt").write_text("before\n")
    name = address if address.startswith(":") else f"{file.parent}/{address}"
    with pytest.raises(ConfigError, match=message):
        user_function(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rows", r"shape \(2, 6, 2\); return one number a head|shape \(2, 1, 2\); return one number a head"),
        ("number", "returned a float; return a torch tensor"),
        ("holes", "not finite"),
        ("broken", "broken failed: IndexError"),
        ("flat", r"returned shape \(4, 3\); return a score of every head"),
    ],
)
def test_answers_that_are_no_scores(file, model, tokens, name, message):
    with pytest.raises(ConfigError, match=message):
        mechanism(file, name, tokens).rows(model)
