import pytest
from transformers.utils import logging

from imprint.models.quiet import quiet


@pytest.fixture(autouse=True)
def bars():
    shown = logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    yield
    (logging.enable_progress_bar if shown else logging.disable_progress_bar)()


def test_bars_are_hidden_inside_and_shown_again_after():
    with quiet():
        assert not logging.is_progress_bar_enabled()
        with quiet():
            pass
        assert not logging.is_progress_bar_enabled()
    assert logging.is_progress_bar_enabled()


def test_bars_come_back_after_an_exception():
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert logging.is_progress_bar_enabled()


def test_bars_that_the_user_hid_stay_hidden():
    logging.disable_progress_bar()
    with quiet():
        pass
    assert not logging.is_progress_bar_enabled()
