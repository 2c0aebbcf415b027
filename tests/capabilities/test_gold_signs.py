"""The signs of the gold answers' gradients: a step along them makes the gold answers less likely."""

import pytest
import torch
from bench_files import TOKENIZER, tiny_llama, write_data

from imprint.capabilities import gold_signs, prepare
from imprint.interventions.activations import Intervention, RandomSign, Sign, entry_layer

SITE = "L1.resid_post"


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    model = tiny_llama()
    bench = prepare(["copa"], write_data(tmp_path_factory.mktemp("data")), TOKENIZER, model=model, fewshot=0)
    layer = entry_layer(model, [Intervention(site=SITE, edit=RandomSign(seed=0, rms=1.0))])
    scorer = bench.scorer(model, layer=layer)
    return bench, scorer, gold_signs(bench, scorer, SITE)


def gold(bench, scorer, *acting):
    return torch.tensor(bench.items(scorer.score(acting))["log_prob"].to_list())


def test_a_small_step_lowers_every_gold_answer(scored):
    bench, scorer, signs = scored
    step = Intervention(site=SITE, edit=Sign(signs=signs, rms=1.0), dose=1e-3)
    change = gold(bench, scorer, step) - gold(bench, scorer)
    assert (change < 0).all()


def test_the_other_way_raises_them(scored):
    bench, scorer, signs = scored
    step = Intervention(site=SITE, edit=Sign(signs=signs, rms=1.0), dose=-1e-3)
    assert (gold(bench, scorer, step) > gold(bench, scorer)).all()


def test_random_signs_do_far_less(scored):
    bench, scorer, signs = scored
    step = Intervention(site=SITE, edit=Sign(signs=signs, rms=1.0), dose=1e-3)
    noise = Intervention(site=SITE, edit=RandomSign(seed=3, rms=1.0), dose=1e-3)
    base = gold(bench, scorer)
    along = (gold(bench, scorer, step) - base).abs().mean()
    across = (gold(bench, scorer, noise) - base).mean().abs()
    assert across < 0.5 * along


def test_only_tokens_that_the_options_share_have_a_sign(scored):
    bench, scorer, signs = scored
    rows = {}
    starts = [0]
    for group in bench.groups:
        starts.append(starts[-1] + len(group))
    for batch in scorer.batches:
        for number, row in enumerate(batch.rows.tolist()):
            request = int(batch.read_request[batch.read_row == number][0])
            question = next(place for place, start in enumerate(starts[1:]) if request < start)
            rows.setdefault(question, []).append((row, batch.input_ids[number][batch.mask[number]].tolist()))
    for question, pair in rows.items():
        longest = min(len(ids) for _, ids in pair)
        shared = next((place for place in range(longest) if len({ids[place] for _, ids in pair}) > 1), longest)
        for row, _ in pair:
            assert (signs[row, shared:] == 0).all()
            torch.testing.assert_close(signs[row, :shared], signs[pair[0][0], :shared])
        assert (signs[pair[0][0], 1:shared] != 0).any(), question


def test_each_entry_is_a_sign(scored):
    _, scorer, signs = scored
    assert signs.dtype == torch.int8
    assert set(signs.unique().tolist()) <= {-1, 0, 1}
    assert len(signs) == sum(len(batch.rows) for batch in scorer.batches)
