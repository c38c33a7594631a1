"""TensorBoard's events, as its readers find them."""

import struct
import threading

import pytest

from fakd_jax.training.event_file import EventFile

pytest.importorskip("tensorboardX")


def read_events(file):
    """The events in a file of records: length, its checksum, content, the content's checksum."""
    from tensorboardX.proto.event_pb2 import Event

    content, events = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    return events


def test_scalars_are_on_the_disk_at_once_without_a_thread(tmp_path):
    threads = threading.active_count()
    file = EventFile(tmp_path / "student", first_step=5)
    file.add_scalars({"val/loss": 0.5, "val/accuracy": 1.0}, step=8)
    assert threading.active_count() == threads
    (path,) = (tmp_path / "student").glob("*tfevents*")
    version, start, scalars = read_events(path)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (5, start.session_log.START)
    assert scalars.step == 8
    assert {value.tag: value.simple_value for value in scalars.summary.value} == {
        "val/loss": 0.5,
        "val/accuracy": 1.0,
    }
    file.close()


def test_a_full_disk_is_an_error_of_whoever_writes(tmp_path):
    from tensorboardX import RecordWriter

    file = EventFile(tmp_path, first_step=1)
    file._records = RecordWriter("/dev/full")
    for write in (lambda: file.add_scalars({"val/loss": 0.5}, step=1), file.close):
        with pytest.raises(OSError, match="No space left"):
            write()
