"""The one place that starts or joins a Ray cluster."""

import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from pipeline.errors import SiteError
from pipeline.execute import THREAD_VARIABLES
from pipeline.site_file import Site

PROJECT_PACKAGES = ("schemas", "pipeline", "stages", "jobs")

_NODE_PROCESSES = ("raylet", "gcs_server")
_HTTP2_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _HTTP2_SETTINGS
"""RFC 9113, section 3.4: the preface and an empty settings frame, which both sides send first."""


@contextmanager
def cluster(site: Site, code: Sequence[str] = ()) -> Iterator[int]:
    """Join the site's cluster, or start one on this machine; gives the number of CPUs to use.

    `code` names folders of users' recipes. Raises SiteError when the address does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # when a node dies Ray prints its log on standard output, whatever log_to_driver says
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    if "RAY_AUTH_TOKEN" in os.environ:  # Ray would not send it to an address that it was told
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    # ray.init ignores logging_level while configure_logging is off
    logging.getLogger("ray").setLevel(logging.ERROR)
    if site.ray.address != "local":
        _check_reachable(site)
    if ray.is_initialized():
        yield _cpus(site, ray)
        return
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if site.ray.address == "local":
        os.environ.update(THREAD_VARIABLES)
        # when this process is killed, workers that look for the head node give up after about ten seconds: those that
        # ran, where Ray would look for a minute, and those just started, where Ray would try five times five seconds
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "10")
        os.environ.setdefault("RAY_gcs_rpc_server_connect_timeout_s", "2")
        options |= {
            "address": "local",
            "num_cpus": site.workers,
            "include_dashboard": False,
            "object_store_memory": site.ray.object_store_bytes,
        }
    else:
        options |= {"address": site.ray.address, "runtime_env": _runtime_env(code)}
    try:
        ray.init(**options)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        raise SiteError(
            f"cannot use Ray at {site.ray.address!r}: {error}; check ray.address in the site file, and give "
            "RAY_AUTH_TOKEN if the cluster asks for a token"
        ) from error
    try:
        yield _cpus(site, ray)
    finally:
        ray.shutdown()


class NodeWatch:
    """Notices that the Ray node this process depends on is gone, where Ray would wait for its heartbeats to fail."""

    def __init__(self, site: Site, check_every_s: float = 5.0) -> None:
        self._site, self._check_every_s = site, check_every_s
        children = psutil.Process().children() if site.ray.address == "local" else []
        # of a cluster that ended before, dead processes may still be listed
        alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        self._processes = [child for child in alive if child.name() in _NODE_PROCESSES]
        self._next = time.monotonic() + self._check_every_s

    def check(self) -> None:
        """Raise SiteError if a process of the local node has ended or the joined cluster does not answer."""
        if any(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in self._processes):
            raise node_died(self._site)
        if not self._processes and time.monotonic() >= self._next:
            _check_reachable(self._site)
            self._next = time.monotonic() + self._check_every_s


def node_died(site: Site) -> SiteError:
    """The error for a run whose Ray node is gone."""
    remedy = "run the same command again" if site.ray.address == "local" else "start it and run the same command again"
    return SiteError(f"the Ray node ({site.ray.address}) died; finished shards are kept: {remedy}")


def _cpus(site: Site, ray: Any) -> int:
    total = int(ray.cluster_resources().get("CPU", 1))
    return min(total, site.execution.workers or total)


def _check_reachable(site: Site) -> None:
    """Fail within the site's time where Ray itself would try for minutes."""
    host, _, port = site.ray.address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=site.ray.connect_timeout_s) as connection:
            if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
                _check_speaks_grpc(connection)
    except (OSError, ValueError) as error:
        raise SiteError(
            f"Ray at {site.ray.address} does not answer ({error}); start it, or correct ray.address in the site file"
        ) from error


def _check_speaks_grpc(connection: socket.socket) -> None:
    """Raise ConnectionError unless a greeting in HTTP/2 is answered in kind; another server's port would hang Ray."""
    connection.sendall(_HTTP2_GREETING)
    with connection.makefile("rb") as answer:
        if answer.read(len(_HTTP2_SETTINGS))[3:4] != _HTTP2_SETTINGS[3:4]:
            raise ConnectionError("something else listens there")


def _runtime_env(code: Sequence[str]) -> dict[str, Any]:
    """What travels to a cluster: the four packages, and the recipe's folder as the working directory."""
    root = Path(__file__).resolve().parent.parent
    environment: dict[str, Any] = {
        "py_modules": [str(root / name) for name in PROJECT_PACKAGES],
        "env_vars": dict(THREAD_VARIABLES),
    }
    if code:
        environment["working_dir"] = code[0]
    return environment
