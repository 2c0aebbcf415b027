"""Child seeds: one seed in the recipe, an independent one for every use."""

from imprint.runs.digests import digest


def derive(seed: int, *names: str | int) -> int:
    """A child seed in [0, 2**63) that depends on the parent seed and on the names, and on nothing else.

    >>> derive(0, "arm", 3) == derive(0, "arm", 3) != derive(0, "arm", 4)
    True
    """
    return int(digest([seed, *names])[:16], 16) >> 1
