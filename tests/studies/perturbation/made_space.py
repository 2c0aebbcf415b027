"""Tokens of two clusters that differ in one planted dimension, and the space that is found in them."""

import numpy as np
from safetensors.numpy import save_file

from imprint.runs import write_json
from imprint.studies.perturbation.recorded import Recorded
from imprint.studies.perturbation.space import Space, _Parts

WIDTH, PLANTED = 12, 5


def recorded(shift=2.0, seed=0, documents=40):
    """Two clusters that differ by `shift` standard deviations in one dimension, and nothing else."""
    rng = np.random.default_rng(seed)
    document = np.repeat(np.arange(documents), 20)
    cluster = document % 2
    states = rng.normal(size=(len(document), WIDTH)) * np.linspace(1, 4, WIDTH)
    states[:, PLANTED] += shift * np.linspace(1, 4, WIDTH)[PLANTED] * cluster
    return Recorded(
        states=states.astype(np.float32),
        cluster=cluster,
        document=document,
        row=document,
        token_id=rng.integers(0, 50, len(document)),
    )


def space_of(found, tmp_path, direction="difference", dims=((PLANTED,), (PLANTED,))):
    parts = _Parts.of(found, 2, 2, 0)
    arrays = parts.arrays(direction) | {
        f"dims.{number}": np.array(one, dtype=np.int64) for number, one in enumerate(dims)
    }
    reference = {"reference": found.states, "reference_cluster": found.cluster, "reference_document": found.document}
    save_file(
        {name: np.ascontiguousarray(value) for name, value in (arrays | reference).items()},
        tmp_path / "space.safetensors",
    )
    facts = {"site": "L1.resid_post", "clusters": ["prose", "code"], "rms": 2.5, "summary": {"prose": {}, "code": {}}}
    write_json(tmp_path / "space.json", facts)
    return Space.load(tmp_path)
