"""Damaged NIfTI files: what a file holds against what it promises, before memory is taken."""

import gzip
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from oracles.nifti_files import (
    DATATYPE,
    DIM,
    refusal,
    voxels,
)

from medseg.errors.exceptions import InputError
from medseg.read.nifti import read_nifti


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_a_cut_file_is_truncated(file, share):
    array = np.random.default_rng(0).integers(0, 1000, (20, 20, 20)).astype(np.int16)
    for name in ("x.nii", "x.nii.gz"):
        path = file(array, name=name)
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(InputError, match="FILE_TRUNCATED"):
            read_nifti(path)


def test_a_gzip_without_its_last_bytes_is_truncated(file):
    path = file(name="x.nii.gz")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="FILE_TRUNCATED"):
        read_nifti(path)


def test_a_wrong_checksum_is_unreadable(file):
    path = file(name="x.nii.gz")
    whole = path.read_bytes()
    for at in (-8, -4):  # CRC32 and ISIZE, RFC 1952 §2.3.1
        damaged = bytearray(whole)
        damaged[at] ^= 0x40 if at == -4 else 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="FILE_UNREADABLE"):
            read_nifti(path)


def test_several_members_are_one_stream_and_padding_is_none(file):
    plain = file()
    expected, data = read_nifti(plain).array, plain.read_bytes()
    parts = [
        gzip.compress(data[:100]),
        gzip.compress(data[100:400]),
        gzip.compress(data[400:]),
        gzip.compress(b""),
    ]
    path = plain.with_name("members.nii.gz")
    for padding in (0, 1, 3, 512):
        for stream in (b"".join(parts), gzip.compress(data)):
            path.write_bytes(stream + bytes(padding))
            np.testing.assert_array_equal(read_nifti(path).array, expected)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_little_may_follow_the_voxels_and_not_much(file, name):
    assert voxels(file(name=name, more=b"x" * 2**16)).shape == (3, 4, 5)
    assert refusal(file(name=name, more=b"x" * (2**16 + 1)), by_header=False) == "FILE_TOO_LARGE"


def test_a_bomb_is_stopped_at_once(file):
    path = file(name="x.nii.gz", more=bytes(2**28))
    tracemalloc.start()
    assert refusal(path, by_header=False) == "FILE_TOO_LARGE"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


CLAIM = {DIM: ("4h", 3, 3684, 3684, 3684)}  # 100 GB of int16


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_a_claim_of_100_gb_is_refused_before_it_is_allocated(file, name):
    path = file(fields=CLAIM, name=name)
    tracemalloc.start()
    assert refusal(path) == "FILE_TRUNCATED"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
    script = f"""if True:
        import resource
        from medseg.read.nifti import read_nifti
        from medseg.errors import InputError
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 50 * 2**20,) * 2)
        try:
            read_nifti({str(path)!r})
        except InputError as error:
            print(error.code)"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "FILE_TRUNCATED", done.stderr


def test_a_claim_that_the_file_may_hold_and_memory_cannot_is_too_large(file):
    path = file(fields={DIM: ("4h", 3, 10_000, 10_000, 10_000), DATATYPE: ("h", 64)})
    with path.open("r+b") as stream:
        stream.truncate(8 * 10_000**3 + 352)  # sparse: takes no disk
    assert refusal(path) == "FILE_TOO_LARGE"


def test_a_claim_that_a_single_member_denies_is_refused_by_its_trailer(file):
    path = file(np.zeros((64, 64, 64), np.int16), {DIM: ("4h", 3, 64, 64, 70)}, name="x.nii.gz")
    assert refusal(path) == "FILE_TRUNCATED"
