import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from imprint.corpus import byte_tokenizer
from imprint.models import Architecture, induction_transformer

SIZES = {"n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 16, "vocab_size": 256}
CONFIG = SIZES | {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.25}
FEW = ["--context", 24, "--rows", 4]
MINE = """
import torch

def before(patterns, tokens):
    places = torch.arange(2, tokens.shape[1])
    return patterns[..., places, places - 1].mean(-1).mean(1)

def size(model):
    heads = [block.attn.c_proj.weight.reshape(2, -1).norm(dim=-1) for block in model.transformer.h]
    return torch.stack(heads)[..., None].expand(-1, -1, 3)

def wrong(patterns, tokens):
    return patterns.mean((3, 4))
"""


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    """The hand-built circuit as a saved GPT-2: L0.H0 reads the token before, L1.H0 is an induction head that copies."""
    folder = tmp_path_factory.mktemp("hand") / "model"
    built = induction_transformer(256, 32).float()
    model = GPT2LMHeadModel(built.config)
    model.load_state_dict(built.state_dict(), strict=False)
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "model"
    Architecture(config=CONFIG).initialise(0).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def named(found):
    return {
        name: [head["head"] for head in scored["heads"] if head["role"]] for name, scored in found["mechanisms"].items()
    }


def test_every_mechanism_and_the_circuit_of_a_hand_built_model(imprint, hand, mine, tmp_path):
    kinds = ["previous_token", "copying", "duplicate_token", "successor", f"{mine}:before"]
    asked = [part for kind in kinds for part in ("--mechanism", kind)]
    more = ["--circuit", "--initial-models", 0, "--out", tmp_path / "out", "--json"]
    answer = imprint("locate", hand, *asked, *FEW, *more)
    assert (answer.code, answer.err) == (0, "")
    found = answer.json
    assert named(found) == dict(zip(kinds, (["L0.H0"], ["L1.H0"], [], [], ["L0.H0"]), strict=True))
    assert found["initial_models"] == 0
    assert {head["head"]: head["role"] for head in found["heads"] if head["role"]} == {
        "L0.H0": "previous token",
        "L1.H0": "induction",
    }
    carried = {(path["sender"], path["role"]) for path in found["circuit"] if path["copying"]["low"] > 1}
    assert carried == {("L0.H0", "k"), ("L0.H0+L0.H1", "k")}
    assert json.loads((tmp_path / "out" / "location.json").read_text()) == found


def test_the_tables_say_which_nulls_were_used(imprint, hand, small):
    answer = imprint("locate", hand, "--mechanism", "copying", "--circuit", "--initial-models", 0, *FEW)
    assert answer.code == 0
    for words in (
        "copying: the 4 highest scores of 4 heads",
        "199 shuffles of the targets and no freshly initialised model",
        "What each path into L1.H0 carries",
        "all of L0",
    ):
        assert words in " ".join(answer.out.split())
    answer = imprint("locate", small, "--mechanism", "copying", "--circuit", *FEW)
    assert "199 shuffles of the targets and 20 freshly initialised models" in answer.out
    assert "Induction is judged against shuffled targets and 20 freshly initialised models" in answer.out
    assert "there is no circuit to check" in answer.out


def test_a_mechanism_alone_is_not_induction(imprint, small):
    found = imprint("locate", small, "--mechanism", "duplicate_token", "--mechanism", "duplicate_token", *FEW, "--json")
    assert set(found.json) == {"initial_models", "mechanisms"}
    assert list(found.json["mechanisms"]) == ["duplicate_token"]
    assert found.json["mechanisms"]["duplicate_token"]["draws"] == 199 + 20
    assert named(found.json) == {"duplicate_token": []}


def test_induction_is_the_default_and_can_be_named(imprint, small):
    default, asked = (
        imprint("locate", small, *FEW, *more, "--json").json for more in ((), ("--mechanism", "induction"))
    )
    assert default == asked
    assert "mechanisms" not in default
    assert "circuit" not in default


def test_fresh_models_are_a_null(imprint, small):
    alone = imprint("locate", small, *FEW, "--mechanism", "copying", "--initial-models", 0, "--json").json
    more = imprint("locate", small, *FEW, "--mechanism", "copying", "--initial-models", 25, "--json").json
    pairs = [
        (one["p"], two["p"])
        for one, two in zip(*(each["mechanisms"]["copying"]["heads"] for each in (alone, more)), strict=True)
    ]
    assert all(with_fresh >= without for without, with_fresh in pairs)
    assert any(with_fresh > without for without, with_fresh in pairs)
    assert all(with_fresh >= 1 / 26 for _, with_fresh in pairs)


def test_a_score_of_the_model_is_judged_against_fresh_ones(imprint, hand, mine):
    answer = imprint("locate", hand, "--mechanism", f"{mine}:size", "--initial-models", 19, *FEW)
    assert answer.code == 0
    assert "no shuffled targets and 19 freshly initialised models" in answer.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mechanism", "telepathy"], "mechanism 'telepathy' is not known; choose induction, previous_token, copying"),
        (["--mechanism", "absent.py:score"], "absent.py: no such Python file"),
        (["--mechanism", "{mine}:absent"], "has no function 'absent'; it has before, size, wrong"),
        (["--mechanism", "{mine}:wrong"], "return one number a head, shape (2, 2)"),
        (["--mechanism", "{mine}:size", "--initial-models", "0"], "no null of its own; give --initial-models 20"),
        (["--initial-models", "7"], "7 initial models cannot give p = .05; give --initial-models 0 or at least 19"),
        (["--initial-models", "-1"], "-1"),
    ],
)
def test_what_is_refused(imprint, small, mine, arguments, message):
    answer = imprint("locate", small, *(each.replace("{mine}", str(mine)) for each in arguments), *FEW, "--json")
    assert answer.code == 2
    assert message in answer.complaint()


def test_a_tokenizer_without_successors(imprint, tmp_path):
    Architecture(config=CONFIG | {"vocab_size": 400}).initialise(0).save_pretrained(tmp_path / "model")
    words = {word: number for number, word in enumerate(("?", *(f"{number}x" for number in range(399))))}
    inner = Tokenizer(models.WordLevel(words, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="?").save_pretrained(tmp_path / "model")
    answer = imprint("locate", tmp_path / "model", "--mechanism", "successor", *FEW, "--json")
    assert answer.code == 2
    assert "the tokenizer has 0 successor pairs" in answer.complaint()
