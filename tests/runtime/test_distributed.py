"""Which processes and devices a training job has, as far as one process can test."""

import pytest

from fakd_jax.errors import LostProcessError, UserError
from fakd_jax.runtime import distributed
from fakd_jax.runtime.distributed import JobFlags, lost_process, refuse_several_processes

ADDRESS = "127.0.0.1:1234"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"coordinator_address": ADDRESS}, "together"),
        ({"process_id": 0}, "together"),
        ({"num_processes": 2, "process_id": 0}, "together"),
        (
            {"coordinator_address": "host", "num_processes": 2, "process_id": 0},
            "host has no port",
        ),
        (
            {"coordinator_address": ADDRESS, "num_processes": 2, "process_id": 2},
            "--process-id=2 is not below --num-processes=2",
        ),
        ({"devices": (1, 0, 1)}, "--devices=1,0,1 names a device twice"),
    ],
)
def test_flags_that_do_not_fit_together_are_user_errors(flags, message):
    with pytest.raises(UserError, match=message):
        JobFlags(**flags).check()


def test_flags_of_a_job_and_of_none_are_accepted():
    JobFlags().check()
    JobFlags(coordinator_address=ADDRESS, num_processes=2, process_id=0).check()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, False),  # a batch script outside of srun
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
    ],
)
def test_several_processes_are_detected(environment, expected, monkeypatch):
    monkeypatch.setattr(distributed, "_on_cloud_tpu", lambda: False)
    assert JobFlags().is_job(environment) == expected
    assert JobFlags(coordinator_address=ADDRESS, num_processes=2, process_id=0).is_job(environment)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if expected:
        with pytest.raises(UserError, match="fakd explain runs as one process"):
            refuse_several_processes("fakd explain")
    else:
        refuse_several_processes("fakd explain")


def test_on_a_cloud_tpu_jax_decides_unless_the_cpu_is_chosen(monkeypatch):
    monkeypatch.setattr(distributed, "_on_cloud_tpu", lambda: True)
    assert JobFlags().is_job({})
    assert not JobFlags(platform="cpu").is_job({})


def test_a_broken_collective_is_a_lost_process_among_several_only(monkeypatch):
    error = ValueError("UNKNOWN: Gloo all-reduce failed: Connection closed by peer")
    assert lost_process(error) is None
    monkeypatch.setattr(distributed, "process_count", lambda: 2)
    lost = lost_process(ValueError(f"{error} {'x' * 200}\nmore"))
    assert isinstance(lost, LostProcessError)
    assert str(error) in str(lost)
    assert "more" not in str(lost)
    assert "x" * 200 not in str(lost)
    assert lost_process(ValueError("shapes do not fit")) is None


def test_devices_are_chosen_by_their_number(monkeypatch):
    import jax

    before = jax.config.jax_default_device
    try:
        distributed.join_job(JobFlags(devices=(0,)))
        assert distributed.mesh_devices() == [jax.local_devices()[0]]
        with pytest.raises(UserError, match="there is no device 7"):
            distributed.join_job(JobFlags(devices=(0, 7)))
    finally:
        distributed.join_job(JobFlags())
        jax.config.update("jax_default_device", before)
    assert distributed.mesh_devices() == jax.devices()
