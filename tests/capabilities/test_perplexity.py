import math

import pytest

from imprint.capabilities import items_frame, perplexity
from imprint.errors import InputError


def documents(*sizes, nats_a_byte=0.5):
    return items_frame(
        [
            {"suite": "w", "task": "w", "item": n, "log_prob": -nats_a_byte * size, "words": size // 5, "bytes": size}
            for n, size in enumerate(sizes)
        ]
    )


def test_known_perplexities():
    found = perplexity(documents(100, 500, 50))
    assert found.byte.estimate == pytest.approx(math.exp(0.5))
    assert found.word.estimate == pytest.approx(math.exp(2.5))
    assert found.bits_per_byte.estimate == pytest.approx(0.5 / math.log(2))
    assert (found.byte.low, found.byte.high) == pytest.approx((math.exp(0.5), math.exp(0.5)))


def test_long_documents_weigh_more_and_documents_are_what_varies():
    frame = documents(900).vstack(documents(100, nats_a_byte=1.5))
    found = perplexity(frame)
    assert found.byte.estimate == pytest.approx(math.exp((450 + 150) / 1000))
    assert found.byte.low == pytest.approx(math.exp(0.5))
    assert found.byte.high == pytest.approx(math.exp(1.5))
    assert (found.byte.n, found.byte.unit) == (2, "document")


def test_one_document_has_no_interval():
    with pytest.raises(InputError, match="at least 2 documents"):
        perplexity(documents(100))
