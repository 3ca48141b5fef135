"""The one place that starts or joins a Ray cluster."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import SiteError
from pipeline.execute import THREAD_VARIABLES
from pipeline.site_file import Site

PROJECT_PACKAGES = ("schemas", "pipeline", "stages", "jobs")


@contextmanager
def cluster(site: Site, code: Sequence[str] = ()) -> Iterator[int]:
    """Join the site's cluster, or start one on this machine; gives the number of CPUs to use.

    `code` names folders of users' recipes. Raises SiteError when the address does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        yield _cpus(site, ray)
        return
    options: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    if site.ray.address == "local":
        os.environ.update(THREAD_VARIABLES)
        options |= {
            "address": "local",
            "num_cpus": site.workers,
            "include_dashboard": False,
            "object_store_memory": site.ray.object_store_bytes,
        }
    else:
        _check_reachable(site)
        options |= {"address": site.ray.address, "runtime_env": _runtime_env(code)}
    try:
        ray.init(**options)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        raise SiteError(
            f"cannot use Ray at {site.ray.address!r}: {error}; check ray.address in the site file"
        ) from error
    try:
        yield _cpus(site, ray)
    finally:
        ray.shutdown()


def _cpus(site: Site, ray: Any) -> int:
    total = int(ray.cluster_resources().get("CPU", 1))
    return min(total, site.execution.workers or total)


def _check_reachable(site: Site) -> None:
    """Fail within the site's time where Ray itself would try for minutes."""
    host, _, port = site.ray.address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=site.ray.connect_timeout_s):
            pass
    except (OSError, ValueError) as error:
        raise SiteError(
            f"Ray at {site.ray.address} does not answer ({error}); start it, or correct ray.address in the site file"
        ) from error


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
