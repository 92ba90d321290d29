"""The same study on a Dask cluster, here one with two workers on the loopback."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from hil.study import cluster as cluster_module
from hil.study.cluster import Cluster
from hil.study.job import run_study
from hil.study.runners import Here
from protocols.errors import ClusterError

distributed = pytest.importorskip("distributed")


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "table.parquet").read_bytes()).hexdigest()


@pytest.fixture
def local_cluster():
    """Two workers as threads of this process: what travels, and not how, is what is tested."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        host="127.0.0.1",
        protocol="tcp",
    ) as cluster:
        yield cluster


@pytest.mark.slow
def test_two_workers_give_the_table_of_one_process(small, tmp_path, local_cluster) -> None:
    run_study(small, tmp_path / "here", Here())
    cluster = Cluster(local_cluster.scheduler_address)
    try:
        assert cluster.workers() == 2
        result = run_study(small, tmp_path / "cluster", cluster)
    finally:
        cluster.close()
    assert (result.solved, result.failed) == (6, 0)
    assert digest(tmp_path / "cluster") == digest(tmp_path / "here")


@pytest.mark.slow
def test_a_scheduler_without_workers_is_refused(small, tmp_path) -> None:
    with distributed.LocalCluster(
        n_workers=0, processes=False, dashboard_address=None, host="127.0.0.1", protocol="tcp"
    ) as empty:
        cluster = Cluster(empty.scheduler_address, alone_s=0.3)
        try:
            with pytest.raises(ClusterError, match="the scheduler has no workers"):
                run_study(small, tmp_path, cluster)
        finally:
            cluster.close()


def test_a_scheduler_that_is_not_there_is_named(monkeypatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.3)
    with pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:1: no Dask scheduler answers"):
        Cluster("tcp://127.0.0.1:1")


def test_an_address_that_is_none_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.3)
    with pytest.raises(ClusterError, match="no Dask scheduler answers"):
        Cluster("nonsense://here")


def test_without_dask_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"analog-diffusion-hil\[dask\]"):
        Cluster("tcp://127.0.0.1:1")
