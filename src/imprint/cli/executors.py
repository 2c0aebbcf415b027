"""Who computes: `--executor local|ray`, `--address` and `--processes` as an `Executor`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from imprint.errors import ConfigError
from imprint.runs import Executor, LocalExecutor, RayExecutor

ExecutorName = Literal["local", "ray"]


@contextmanager
def chosen_executor(name: ExecutorName, address: str | None, processes: int | None) -> Iterator[Executor]:
    """The executor for one command; by default one process a core, or all of the Ray cluster at `address`.

    Without an address "ray" starts a cluster of this machine, which ends with the block.

    Raises:
        ConfigError: an address without "ray", no Ray, or no cluster at the address.
    """
    from imprint.studies import workers

    if name == "ray":
        remote = RayExecutor(address=address, workers=processes if address else processes or workers())
        with remote.connection():
            yield remote
        return
    if address is not None:
        raise ConfigError(f"--address {address} is that of a Ray cluster; add --executor ray, or leave it out")
    yield LocalExecutor(workers=processes or workers())
