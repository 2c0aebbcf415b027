"""The way into a Ray cluster: one that runs already, or one of this machine alone that ends when it is left."""

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import ModuleType

from imprint.errors import ConfigError, ImprintError

_PATIENCE_SECONDS = 5.0
_OBJECT_STORE_BYTES = 100 << 20
"""Results travel through the store's folder, so Ray's own memory holds next to nothing."""
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_HTTP2_SETTINGS = 4
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # else deaths of workers are told on standard output, which carries results
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_FEW_TRIES = {"RAY_gcs_server_port_wait_time_s": "5"}


@contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[ModuleType]:
    """The module `ray`, connected to the cluster at `address`, or to a new one of `workers` processes on this machine.

    Within another connection of this process that one is used. A cluster started here ends with the block, and its files
    go; it listens on the loopback interface only and asks for a token that only this process and its children know.

    Raises:
        ConfigError: Ray is not installed, the address is none, or no cluster that this machine belongs to answers there.
        ImprintError: a local cluster could not be started.
    """
    with _environment(_QUIET):
        ray = _ray()
        if ray.is_initialized():
            yield ray
            return
        with _silenced(), _local(ray, workers) if address is None else _remote(ray, address):
            yield ray


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError:
        raise ConfigError("the executor ray needs Ray, which is not installed: pip install 'imprint[ray]'") from None
    module: ModuleType = ray
    return module


@contextmanager
def _local(ray: ModuleType, workers: int | None) -> Iterator[None]:
    # Sockets lie in this folder, and their paths must be short.
    with (
        tempfile.TemporaryDirectory(prefix="imprint-ray-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        _environment({"RAY_AUTH_TOKEN": _token()}),
    ):
        try:
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                log_to_driver=False,
                configure_logging=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=folder,
            )
        except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            ray.shutdown()
            raise ImprintError(f"a local Ray cluster could not be started: {_first_line(error)}") from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _remote(ray: ModuleType, address: str) -> Iterator[None]:
    _check_answers(address)
    try:
        with _environment(_FEW_TRIES):
            ray.init(address=address, log_to_driver=False, configure_logging=False)
    except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        ray.shutdown()
        raise ConfigError(
            f"cannot join the Ray cluster at {address}: {_first_line(error)} (this machine must belong to it: "
            f"'ray start --address={address}', with the same versions of Python and Ray)"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse at once what Ray itself would try for two minutes."""
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ConfigError(
            f"'{address}' is no address of a Ray cluster: give HOST:PORT as 'ray start --head' prints it, such as 10.0.0.5:6379"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_SECONDS) as connection:
            connection.sendall(_HTTP2_GREETING)
            frame = connection.recv(9)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
    else:
        if os.environ.get("RAY_USE_TLS") == "1" or (len(frame) == 9 and frame[3] == _HTTP2_SETTINGS):
            return
        reason = "what answers there is not Ray"
    raise ConfigError(
        f"no Ray cluster at {address} ({reason}): start one there with 'ray start --head', or give no address for a cluster"
        " of this machine alone"
    )


@cache
def _token() -> str:
    """One for all clusters of this process: Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Variables for this process and those it starts; what the user has set stays, what Ray sets in the block goes."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in changes.items() if name not in before})
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_") and name not in before]:
            del os.environ[name]


@contextmanager
def _silenced() -> Iterator[None]:
    logger = logging.getLogger("ray")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
