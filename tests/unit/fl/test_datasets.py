"""Data sets: the watch recordings, their splits, and data sets of one's own."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from fl import datasets
from fl.datasets import watch
from fl.errors import DataError, UnknownDatasetError
from tests.unit.fl import tiny

pytestmark = pytest.mark.unit


def test_the_recordings_are_those_published() -> None:
    recorded = watch.recordings(watch.data_file())
    assert len(recorded) == 140
    assert {r.subject for r in recorded} == set(range(1, 11))
    assert {r.label for r in recorded} == set(range(7))
    assert sum(len(watch.windows(r.samples)) for r in recorded) == 2229
    assert all(r.samples.dtype == np.float32 and r.samples.shape[1] == watch.CHANNELS for r in recorded)


def test_windows_are_four_seconds_every_two() -> None:
    samples = np.arange(260, dtype=np.float32)[:, None].repeat(watch.CHANNELS, axis=1)
    cut = watch.windows(samples)
    assert cut.shape == (4, watch.CHANNELS, 100)
    assert [(w[0, 0], w[0, -1]) for w in cut] == [(0, 99), (50, 149), (100, 199), (150, 249)]


@pytest.mark.parametrize(("length", "count"), [(0, 0), (99, 0), (100, 1), (149, 1), (150, 2)])
def test_a_recording_too_short_for_a_window_gives_none(length: int, count: int) -> None:
    cut = watch.windows(np.zeros((length, watch.CHANNELS), np.float32))
    assert cut.shape == (count, watch.CHANNELS, watch.WINDOW)


CLOCKED = tuple(
    watch.Recording(
        subject,
        label,
        # Channel 0 is the time, 1 the subject, 2 the exercise: every sample says where it comes from.
        np.stack(
            [np.arange(700 + 13 * subject), *(np.full(700 + 13 * subject, v) for v in (subject, label, 0, 0, 0))],
            axis=1,
        ).astype(np.float32),
    )
    for subject in range(1, watch.SUBJECTS + 1)
    for label in range(watch.CLASSES)
)


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "recordings", lambda file: CLOCKED)


@pytest.mark.usefixtures("clocked")
def test_temporal_trains_on_the_past_and_tests_on_the_future_of_every_recording() -> None:
    for index, part in enumerate(watch.partition("temporal", watch.SUBJECTS)):
        times = 700 + 13 * (index + 1)
        for x in (part.train_x, part.test_x):
            assert (x[:, 1] == index + 1).all()  # nobody else's samples
            assert (np.diff(x[:, 0], axis=1) == 1).all()  # no window over a seam
        for label in range(watch.CLASSES):
            past, future = (x[y == label][:, 0] for x, y in ((part.train_x, part.train_y), (part.test_x, part.test_y)))
            assert past.max() < 0.8 * times <= future.min() + 1
            assert past.max() < future.min()
        assert (part.train_x[:, 2, 0] == part.train_y).all()
        assert (part.test_x[:, 2, 0] == part.test_y).all()


@pytest.mark.usefixtures("clocked")
@pytest.mark.parametrize("left_out", [1, 4, 10])
@pytest.mark.parametrize("devices", [9, 4, 1])
def test_leave_one_out_never_trains_on_that_subject_and_tests_on_nobody_else(left_out: int, devices: int) -> None:
    parts = watch.partition(f"loso:{left_out}", devices)
    trained = np.concatenate([part.train_x[:, 1].ravel() for part in parts])
    assert left_out not in trained
    assert len(np.unique(trained)) == devices
    expected = [w for r in CLOCKED if r.subject == left_out for w in watch.windows(r.samples)]
    tested = np.concatenate([part.test_x for part in parts])
    assert sorted(w.tobytes() for w in tested) == sorted(w.tobytes() for w in expected)
    for part in parts:
        assert (part.test_x[:, 2, 0] == part.test_y).all()


def test_leave_one_out_of_the_real_data_shares_out_all_windows_of_the_subject() -> None:
    recorded = watch.recordings(watch.data_file())
    tested = 0
    for left_out in range(1, watch.SUBJECTS + 1):
        parts = datasets.get("watch").load(f"loso:{left_out}", 9)
        windows = {w.tobytes() for r in recorded if r.subject == left_out for w in watch.windows(r.samples)}
        assert sum(len(part.test_y) for part in parts) == sum(
            len(watch.windows(r.samples)) for r in recorded if r.subject == left_out
        )
        assert {w.tobytes() for part in parts for w in part.test_x} == windows
        assert not windows & {w.tobytes() for part in parts for w in part.train_x}
        tested += sum(len(part.test_y) for part in parts)
    assert tested == 2229


class Bomb:
    """A pickle that runs code when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.mark), "w")


@pytest.fixture
def bomb(tmp_path: Path) -> tuple[Path, Path]:
    file, mark = tmp_path / "watch_dataset.npy", tmp_path / "ran"
    # As np.save writes an object: a header, then a pickle.
    np.save(file, np.array({"X": Bomb(mark)}, dtype=object), allow_pickle=True)
    return file, mark


def test_attack_data_with_code_in_it_is_refused_before_the_code_runs(bomb: tuple[Path, Path]) -> None:
    file, mark = bomb
    with pytest.raises(DataError, match=rf"expected SHA-256 {watch.SHA256}, got .*reinstall"):
        watch.recordings(file)
    assert not mark.exists()
    # The bomb is one: without the check it goes off.
    np.load(file, allow_pickle=True).item()["X"].close()
    assert mark.exists()


def test_attack_a_file_that_is_swapped_after_its_checksum_is_not_loaded(bomb: tuple[Path, Path]) -> None:
    file, mark = bomb
    real = watch.data_file().read_bytes()

    class Swapped(type(file)):  # type: ignore[misc]
        def read_bytes(self) -> bytes:
            return real

    assert len(watch.recordings(Swapped(file))) == 140
    assert not mark.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.npy"):
        watch.recordings(tmp_path / "gone.npy")


@pytest.mark.parametrize("split", ["", "random", "loso", "loso:", "loso:0", "loso:11", "loso:-1", "loso:x", "loso:²"])
def test_an_unknown_split_names_those_there_are(split: str) -> None:
    with pytest.raises(DataError, match="expected temporal, or loso:K"):
        datasets.get("watch").load(split, 3)


@pytest.mark.parametrize("devices", [0, -1, 11])
def test_more_devices_than_subjects_are_refused(devices: int) -> None:
    with pytest.raises(DataError, match="expected 1 to 10 devices"):
        datasets.get("watch").load("temporal", devices)


def test_leave_one_out_has_one_device_less() -> None:
    with pytest.raises(DataError, match=r"leaves 9 subjects.*got 10"):
        datasets.get("watch").load("loso:1", 10)


def test_an_unknown_data_set_names_those_there_are() -> None:
    with pytest.raises(
        UnknownDatasetError, match=r"unknown data set 'clock': expected one of .*watch.*module:attribute"
    ):
        datasets.get("clock")


def test_every_registered_data_set_can_be_had_by_its_name() -> None:
    assert "watch" in datasets.names()
    for name in datasets.names():
        assert datasets.get(name).name == name


def test_ones_own_data_set_is_one_file() -> None:
    found = datasets.get(tiny.NAME)
    assert found is tiny.DATASET
    assert [len(part.train_y) for part in found.load("plain", 3)] == [9, 12, 15]


@pytest.mark.parametrize(
    "name",
    [
        "tests.unit.fl.tiny:NONE",
        "tests.unit.fl.tiny:NOT_A_DATASET",
        "no.such.module:DATASET",
        ":",
        "x:",
        "..:x",
        "../watch",
    ],
)
def test_what_is_no_data_set_is_said(name: str) -> None:
    with pytest.raises(UnknownDatasetError):
        datasets.get(name)


def test_the_network_has_no_running_statistics_and_the_size_that_is_written_down() -> None:
    state = watch.network().state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == 24_423
    assert not [name for name in state if "running" in name or "num_batches" in name]


def test_partitions_do_not_depend_on_how_many_devices_there_are() -> None:
    few, many = (datasets.get("watch").load("temporal", count) for count in (2, 5))
    assert pickle.dumps(few) == pickle.dumps(many[:2])
