"""Runs of a sweep spread through joblib: over processes here, or over a dask cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from joblib import parallel_config

from mke_theory.study.configuration import RunConfiguration
from mke_theory.study.records import Record, Records
from mke_theory.study.result import Run
from mke_theory.study.study import execute

PATIENCE = 10
"""Seconds that a cluster has to answer."""


@contextmanager
def spread(cluster: str | None, workers: int) -> Iterator[int]:
    """Inside, joblib's work goes to the cluster; the value is the number of parts that run at once.

    None stays with processes of this machine, "local" starts a dask cluster of `workers`
    single-threaded processes here, an address (tcp://host:8786) uses the cluster there.

    Raises ValueError where dask is not installed, nothing answers at the address, or the cluster
    has no workers.
    """
    if cluster is None:
        yield workers
        return
    with ExitStack() as held:
        count = _connected(held, cluster, workers)
        held.enter_context(parallel_config(backend="dask"))
        # One worker alone would otherwise be passed by: joblib would run its work here.
        yield max(2, count)


def _connected(held: ExitStack, cluster: str, workers: int) -> int:
    """Afterwards a client is the default one until `held` closes; the cluster's threads."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise ValueError(
            "--cluster needs dask.distributed: pip install 'mke_theory[cluster]'"
        ) from None
    address: Any = cluster
    if cluster == "local":
        address = held.enter_context(
            LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
            )
        )
    elif "://" not in cluster:
        raise ValueError(f"cluster is {cluster!r}; give local, or an address like tcp://host:8786")
    try:
        client = held.enter_context(Client(address, timeout=PATIENCE))
    except (OSError, ValueError) as problem:
        raise ValueError(
            f"no cluster answers at {cluster} within {PATIENCE} s ({type(problem).__name__}); "
            "start it (dask scheduler, dask worker), or leave --cluster out"
        ) from None
    count = sum(client.nthreads().values())
    if count == 0:
        raise ValueError(
            f"the cluster at {cluster} has no workers; start one: dask worker {cluster}"
        )
    return count


def recorded(runs: Sequence[Run], folder: Path, cluster: str | None, workers: int) -> list[Record]:
    """The records of all runs, kept in `folder`.

    Raises ValueError and OSError before any work where the cluster or the folder is at fault, and
    RuntimeError where a run failed; what is recorded stays.
    """
    with Records.open(folder) as records, spread(cluster, workers) as count:
        return all_done(runs, records, count)


def all_done(runs: Sequence[Run], records: Records, workers: int) -> list[Record]:
    """The records of all runs, of which some may be there; RuntimeError where one fails.

    Jobs are trained vectorised, each with noise of its own, so that no run depends on its company.
    """
    configuration = RunConfiguration(workers=workers, trainer="vectorised")
    done, failures = execute(runs, records, configuration)
    if failures:
        first = failures[0]
        raise RuntimeError(
            f"{len(failures)} of {len(runs)} runs failed, the first: {first.run}: {first.error}"
        )
    return done
