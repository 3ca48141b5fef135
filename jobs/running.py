"""Carry out a plan: start what executes it, run what is not committed, and take everything down again."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from types import FrameType

from pipeline.cluster import cluster
from pipeline.execute import Executor
from pipeline.execute_local import LocalExecutor
from pipeline.plan import Plan
from pipeline.run import Event, Run
from pipeline.site_file import Site

_SCAN_ALONE_S = 1.0


def run_plan(plan: Plan, site: Site, code: tuple[str, ...], listener: Callable[[Event], None]) -> None:
    """Make what the plan's targets lack. Raises ShardsFailedError, SiteError and SourceError.

    The sources are scanned while the cluster starts; a plan with nothing to do needs no cluster.
    """
    with ExitStack() as stack:
        stack.enter_context(terminate_as_interrupt())
        scanner = ThreadPoolExecutor(1)
        stack.callback(scanner.shutdown, wait=False, cancel_futures=True)
        scan = scanner.submit(plan.grow)
        wait([scan], timeout=_SCAN_ALONE_S)
        if scan.done() and scan.result() is not None and plan.is_whole() and not plan.wanted():
            return
        executor = stack.enter_context(_executor(site, code))
        stack.enter_context(terminate_as_interrupt())  # Ray has set its own handler
        scan.result()
        Run(plan=plan, executor=executor, retries=site.execution.retries, listener=listener).execute()


@contextmanager
def _executor(site: Site, code: tuple[str, ...]) -> Iterator[Executor]:
    if site.execution.executor == "local":
        local = LocalExecutor(site)
        try:
            yield local
        finally:
            local.close()
        return
    with cluster(site, code) as cpus:
        from pipeline.execute_ray import RayExecutor

        executor = RayExecutor(site, cpus, code)
        try:
            yield executor
        finally:
            executor.close()


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, so that a local cluster is taken down."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
