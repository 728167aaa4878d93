"""The templates of docs/cluster give job scripts that start a worker."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "cluster"

pytestmark = [
    pytest.mark.skipif(not FOLDER.is_dir(), reason="a checkout is needed"),
    pytest.mark.filterwarnings("ignore:.*(Port|dashboard|unclosed|Dashboard)"),
]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("slurm", ["#SBATCH -p short", "#SBATCH -t 02:00:00", "#SBATCH --requeue", "#SBATCH -n 1"]),
        ("htcondor", ["RequestCpus = MY.DaskWorkerCores", '+JobFlavour = "longlunch"', "Queue"]),
    ],
)
def test_job_scripts(name, lines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for the folder of logs
    pytest.importorskip("dask_jobqueue")
    spec = importlib.util.spec_from_file_location(f"template_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.make(scheduler_options={"dashboard": False}) as cluster:
        script, address = cluster.job_script(), cluster.scheduler_address
    for line in lines:
        assert line in script
    assert f"distributed.cli.dask_worker {address}" in script
    assert "--lifetime 110m" in script
    assert "--nthreads 1" in script
    assert "NUMBA_NUM_THREADS=1" in script
