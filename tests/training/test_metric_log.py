"""Records on a disk that fills up."""

import pytest

from fakd_jax.errors import UserError
from fakd_jax.runs.files import RECORDS_FILE
from fakd_jax.runs.workdir import read_records
from fakd_jax.training.metric_log import MetricLog

NO_ROOM = OSError(28, "No space left on device")


class FullEvents:
    """TensorBoard's writer where nothing can be written."""

    def add_scalars(self, *args):
        raise NO_ROOM

    def close(self):
        raise NO_ROOM


def record(metric_log):
    metric_log.record("val", step=4, epoch=1, values={"loss": 0.5})


def test_a_record_that_cannot_be_written_is_reported(tmp_path):
    metric_log = MetricLog(tmp_path, "student", resume_step=0)
    (tmp_path / RECORDS_FILE).unlink()
    (tmp_path / RECORDS_FILE).mkdir()
    with pytest.raises(UserError, match=r"cannot write .*--workdir"):
        record(metric_log)


def test_events_that_cannot_be_written_are_reported(tmp_path):
    metric_log = MetricLog(tmp_path, "student", resume_step=0)
    vars(metric_log)["_events"] = FullEvents()
    for write in (lambda: record(metric_log), metric_log.close):
        with pytest.raises(UserError, match=r"No space left on device; .*--workdir"):
            write()


def test_a_record_can_be_read_again(tmp_path):
    metric_log = MetricLog(tmp_path, "student", resume_step=0)
    record(metric_log)
    metric_log.close()
    (found,) = read_records(tmp_path)
    assert found == {"phase": "student", "kind": "val", "step": 4, "epoch": 1, "loss": 0.5}
