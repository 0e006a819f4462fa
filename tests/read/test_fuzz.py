"""Damaged files: volumes or an `InputError`, never anything else, in time and in bounded memory."""

import gzip
import sys

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("processes are bounded by Linux's limits", allow_module_level=True)

from oracles import fuzz
from oracles.fuzz_seeds import damage, seeds

INPUTS = 500
SEED = 10**6  # not the benchmark's
PEAK_MIB = 512  # the files are smaller than 40 KiB
NOT_READ = {"dicom_segmentation": "DICOM_NOT_AN_IMAGE"}


@pytest.fixture(scope="module")
def tallies(tmp_path_factory):
    return fuzz.fuzz(INPUTS, SEED, tmp_path_factory.mktemp("kept"))


def test_damaged_files_neither_crash_nor_hang(tallies):
    assert sum(tally.outcomes.total() for tally in tallies.values()) >= INPUTS
    assert {kind: dict(tally.outcomes) for kind, tally in tallies.items() if fuzz.failed(tally)} == {}


def test_damaged_files_take_little_memory(tallies):
    assert max(tally.peak_mib for tally in tallies.values()) < PEAK_MIB


def test_damage_reaches_behind_the_first_check(tallies):
    """Inputs that are all refused at the door would test the door alone."""
    outcomes = sum((tally.outcomes for tally in tallies.values()), start=type(tallies["nifti"].outcomes)())
    assert outcomes["read"] > INPUTS / 20
    assert len(outcomes) > 8


@pytest.mark.parametrize("kind", seeds())
def test_the_undamaged_file_is_read(kind, tmp_path):
    suffix, data = seeds()[kind]
    (tmp_path / f"seed{suffix}").write_bytes(data)
    assert fuzz.try_to_read(tmp_path / f"seed{suffix}") == NOT_READ.get(kind, "read")


@pytest.mark.parametrize("kind", ["nifti", "nifti_gz"])
def test_a_header_that_promises_too_much_takes_no_memory(kind, tmp_path):
    import tracemalloc

    suffix, data = seeds()[kind]
    changed = bytearray(gzip.decompress(data) if kind == "nifti_gz" else data)
    changed[42:48] = np.array([32767, 32767, 400], "<i2").tobytes()
    path = tmp_path / f"huge{suffix}"
    path.write_bytes(gzip.compress(bytes(changed)) if kind == "nifti_gz" else bytes(changed))
    tracemalloc.start()
    outcome = fuzz.try_to_read(path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome in ("FILE_TRUNCATED", "FILE_TOO_LARGE")
    assert peak_bytes < 64 * 2**20


def test_damage_is_a_function_of_seed_and_number():
    for kind in seeds():
        assert damage(kind, 1, 2) == damage(kind, 1, 2)
    assert len({damage("nifti", 1, number) for number in range(50)}) > 40


def test_a_crash_and_a_hang_are_seen(tmp_path, monkeypatch):
    import medseg.read.study

    def breaks(_):
        raise KeyError

    def waits(_):
        while True:
            pass

    monkeypatch.setattr(fuzz, "HANG_S", 1)
    monkeypatch.setattr(medseg.read.study, "read_study", breaks)
    assert fuzz.try_to_read(tmp_path) == "crash: KeyError"
    monkeypatch.setattr(medseg.read.study, "read_study", waits)
    assert fuzz.try_to_read(tmp_path) == "hang"
