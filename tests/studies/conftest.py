"""Keys are worked out hundreds of times a study and shape checking makes each slow: remember their parts in tests."""

import functools
from collections.abc import Iterator

import pytest

from imprint.runs import recipe


@pytest.fixture(scope="session", autouse=True)
def quick_keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "source_digest", functools.cache(recipe.source_digest))
        patch.setattr(recipe, "versions", functools.cache(recipe.versions))
        yield
