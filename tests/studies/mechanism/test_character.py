from dataclasses import replace

import numpy as np
import pytest

from imprint.corpus import Corpus, Document, byte_tokenizer, pack
from imprint.errors import InputError
from imprint.studies.mechanism.character import characterise, row_texts

DOMAINS = ("prose", "tables", "novel repeats")
EVERY, DOMAIN, LOSS, STRICTEST = 0, 1, 2, 3


class World:
    """300 documents in three domains: `tables` are all digits and influential, and a tag makes any document influential.

    The loss is only somewhat higher in `tables`. The planted repeats come last in influence.
    """

    def __init__(self, seed=0, n=300, tag=6.0, domain=5.0):
        rng = np.random.default_rng(seed)
        self.kinds = np.repeat(DOMAINS, n // 3)
        self.tagged = rng.random(n) < 0.2
        documents = []
        for number, (kind, tagged) in enumerate(zip(self.kinds, self.tagged, strict=True)):
            alphabet = "0123456789 " if kind == "tables" else "abcdefghijklmnop "
            body = "".join(rng.choice(list(alphabet), size=40)) + ("<b></b>" if tagged else "qrstuvw")
            documents.append(Document(id=f"{kind}/{number}", text=body, domain=str(kind)))
        self.corpus = Corpus(documents=tuple(documents))
        self.packed = pack(self.corpus, byte_tokenizer(), context=64)
        self.texts = {document.id: document.text for document in documents}
        self.influence = rng.normal(size=n) + tag * self.tagged + domain * (self.kinds == "tables")
        self.influence -= 20.0 * (self.kinds == "novel repeats")
        self.losses = rng.normal(size=n) + 1.0 * (self.kinds == "tables")

    def character(self, **options):
        settings = {"fraction": 0.1, "planted": ("novel repeats",), "draws": 400, **options}
        order = np.argsort(-self.influence, kind="stable")
        return characterise(self.packed, self.texts, order, losses=self.losses, influence=self.influence, **settings)


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def character(world):
    return world.character()


def feature(pool, matching, name):
    return next(row for row in pool.comparisons[matching].features if row.feature == name)


def test_pools_and_matchings(character):
    everything, natural = character.pools
    assert (everything.pool, everything.documents, everything.top) == ("all documents", 300, 30)
    assert (natural.pool, natural.documents, natural.top) == ("natural documents", 200, 20)
    assert [one.matching for one in natural.comparisons] == [
        "all other documents", "same domain", "same loss", "same domain, loss and length",
    ]  # fmt: skip
    assert all(one.treated + one.unmatched == 20 for one in natural.comparisons)
    assert natural.comparisons[EVERY].controls == 180


@pytest.mark.parametrize("matching", [EVERY, DOMAIN, LOSS, STRICTEST])
def test_a_planted_feature_is_found_against_every_control(character, matching):
    for pool in character.pools:
        row = feature(pool, matching, "tags")
        assert row.q < 0.05
        assert row.delta.low > 0.3
        assert 0.75 * 7 / 47 < row.treated_mean < 7.01 / 47  # seven of 47 characters, in most of the top
        assert row.difference.low < row.difference.estimate < row.treated_mean + 1e-9


def test_what_only_the_domain_explains_vanishes_against_the_same_domain(character):
    for pool in character.pools:
        against_all, same = feature(pool, EVERY, "digits"), feature(pool, DOMAIN, "digits")
        assert against_all.delta.low > 0.1
        assert against_all.q < 0.05
        assert not same.delta.excludes_zero
        assert same.q > 0.05
    same_loss = feature(character.pools[1], LOSS, "digits")  # the loss knows a little about the domain
    assert same.delta.estimate < same_loss.delta.estimate < against_all.delta.estimate


def test_domains_of_the_top(character):
    natural = {row.category: row for row in character.pools[1].domains}
    assert set(natural) == {"prose", "tables"}
    assert natural["tables"].enrichment.low > 1 > natural["prose"].enrichment.high
    assert natural["tables"].q < 0.05
    everything = {row.category: row for row in character.pools[0].domains}
    assert everything["novel repeats"].treated == 0
    assert everything["novel repeats"].enrichment.high < 1
    assert character.pools[0].influence["novel repeats"].estimate == 0
    assert character.pools[0].influence["tables"].low > 1


def test_share_of_influence_is_that_of_the_domain_table(character, world):
    positive = np.clip(world.influence, 0, None)
    tables = world.kinds == "tables"
    assert character.pools[0].influence["tables"].estimate == pytest.approx(
        positive[tables].sum() / positive.sum() / tables.mean()
    )


def test_random_tops_find_nothing():
    """20 draws of a ranking that has nothing to do with the text: a family of 44 tests a pool."""
    world, hits = World(tag=0.0, domain=0.0), 0
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(300)
        found = characterise(
            world.packed, world.texts, order, losses=world.losses, influence=world.influence, fraction=0.1, draws=200
        )
        hits += any(row.q < 0.05 for one in found.pools[0].comparisons for row in one.features)
    assert hits <= 3


def test_the_order_of_the_rows_does_not_matter(character, world):
    shuffle = np.random.default_rng(1).permutation(300)
    mixed = World()
    mixed.packed = pack(
        Corpus(documents=tuple(world.corpus.documents[row] for row in shuffle)), byte_tokenizer(), context=64
    )
    mixed.influence, mixed.losses = world.influence[shuffle], world.losses[shuffle]
    assert mixed.character() == character


def test_without_planted_domains_there_is_one_pool(world):
    assert [pool.pool for pool in world.character(planted=()).pools] == ["all documents"]
    assert [pool.pool for pool in world.character(planted=("absent",)).pools] == ["all documents"]
    assert [pool.pool for pool in world.character(planted=DOMAINS).pools] == ["all documents"]


def test_no_positive_influence_has_no_shares(world):
    other = World()
    other.influence = -1.0 - np.arange(300.0)
    assert other.character(draws=10).pools[0].influence == {}


def test_the_text_of_a_row_is_what_its_tokens_cover():
    text = "über dem Fluß ist es still und weiß"
    corpus = Corpus(
        documents=(Document(id="a", text=text, domain="x"), Document(id="b", text="kurz und gut", domain="x"))
    )
    packed = pack(corpus, byte_tokenizer(), context=20)
    rows = row_texts(packed, {"a": text, "b": "kurz und gut"})
    assert "".join(rows[:-1]) == text
    assert rows[-1] == "kurz und gut"


def test_refusals(world):
    with pytest.raises(InputError, match="no text for document 'prose/0'"):
        row_texts(world.packed, {})
    with pytest.raises(InputError, match="each of the 300 rows once"):
        characterise(
            world.packed, world.texts, np.zeros(300, dtype=int), losses=world.losses, influence=world.influence,
            fraction=0.1,
        )  # fmt: skip


def test_the_seed_moves_only_what_is_drawn(character, world):
    other = world.character(seed=1)
    assert other != character
    row, same = feature(other.pools[0], EVERY, "tags"), feature(character.pools[0], EVERY, "tags")
    assert replace(row, p=0.0, q=0.0) == replace(same, p=0.0, q=0.0)
