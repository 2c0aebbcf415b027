import pytest

from imprint.attribution import induction_queries, off_by_one_query, previous_token_query
from imprint.attribution.alignment import (
    INDUCTION_HEAD,
    PREVIOUS_TOKEN_HEAD,
    check_alignment,
    reference_probe,
)
from imprint.attribution.engine import Query
from imprint.errors import SelfCheckFailed


@pytest.mark.parametrize("bos", [True, False])
def test_the_probes_see_what_perfect_heads_do(bos):
    probe = reference_probe(bos=bos)
    found = check_alignment(induction_queries(probe, INDUCTION_HEAD), probe)
    assert found["alignment/log_prob"] > (-0.05 if bos else -0.2)
    assert found["alignment/attention"] > (0.99 if bos else 0.95)
    assert found["alignment/contrastive"] > 10
    before = check_alignment([previous_token_query(probe, PREVIOUS_TOKEN_HEAD)], probe)
    assert before["alignment/previous_token"] > 0.95


def test_the_published_off_by_one_probe_is_noticed():
    probe = reference_probe(bos=True)
    wrong = Query(name="log_prob", measure=off_by_one_query(probe).measure)
    with pytest.raises(
        SelfCheckFailed, match=r"probe 'log_prob' gives -\d+.\d+ a position on a head that copies perfectly"
    ):
        check_alignment([wrong], probe)


def test_another_heads_attention_is_noticed():
    probe = reference_probe(bos=True)
    with pytest.raises(SelfCheckFailed, match="looks at the wrong positions"):
        check_alignment([previous_token_query(probe, INDUCTION_HEAD)], probe)
