"""Whatever happens to a DICOM series, no voxel is read to a wrong place in silence."""

import numpy as np
import pytest
from oracles import dicom_judge
from oracles.dicom_judge import Reading, judge, read_by_medseg
from oracles.dicom_mutations import READABLE, write_case

CASES, CHUNK = 300, 50
FIRST_SEED = 10**6  # not the benchmark's


@pytest.mark.parametrize("start", range(0, CASES, CHUNK))
def test_no_mutation_is_read_wrongly_in_silence(start, tmp_path):
    wrong = []
    for seed in range(FIRST_SEED + start, FIRST_SEED + start + CHUNK):
        case = write_case(tmp_path / str(seed), seed)
        verdict, reason = judge(case, read_by_medseg(case.folder))
        if verdict not in ("right", "refused"):
            wrong.append(f"seed {seed}, {case.kinds}: {verdict}: {reason}")
    assert not wrong


@pytest.mark.parametrize("kind", READABLE)
def test_what_is_sound_is_read_not_refused(kind, tmp_path):
    for seed in range(6):
        case = write_case(tmp_path / str(seed), seed, [kind])
        assert judge(case, read_by_medseg(case.folder)) == ("right", ""), seed


@pytest.mark.parametrize("name", ["PydicomReader", "ITKReader"])
def test_the_judge_is_fair_to_other_readers(name, tmp_path):
    """On sound series the judge finds MONAI's readers right, so what it finds elsewhere is theirs."""
    if name == "ITKReader":
        pytest.importorskip("itk")
    read = dicom_judge.monai_reader(name)
    for seed in range(4):
        case = write_case(tmp_path / str(seed), seed, ["none"])
        assert judge(case, read(case.folder)) == ("right", "")


def spoilt(reading: Reading, change) -> Reading:
    array, affine, codes = reading.volumes[0]
    return Reading([(*change(array.copy(), affine.copy()), codes)])


def moved(array, affine):
    affine[2, 3] += 0.05
    return array, affine


def swapped(array, affine):
    return array[:, :, [1, 0, *range(2, array.shape[2])]], affine


def altered(array, affine):
    array[1, 2, 3] += 1
    return array, affine


def stretched(array, affine):
    affine[:3, 2] *= 1.01
    return array, affine


def flipped(array, affine):
    return array[::-1], affine


def cut(array, affine):
    return array[:, :, :-1], affine


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (moved, "wrong"),
        (swapped, "wrong"),
        (altered, "wrong"),
        (stretched, "wrong"),
        (flipped, "wrong"),
        (cut, "lost"),
    ],
)
def test_the_judge_sees_what_it_must(change, verdict, tmp_path):
    case = write_case(tmp_path, 5, ["none"])
    reading = read_by_medseg(case.folder)
    assert judge(case, spoilt(reading, change))[0] == verdict


def test_the_judge_lets_a_flip_pass_that_the_affine_follows(tmp_path):
    case = write_case(tmp_path, 5, ["none"])

    def turned(array, affine):
        flip = np.diag([-1.0, 1, 1, 1])
        flip[0, 3] = array.shape[0] - 1
        return array[::-1], affine @ flip

    assert judge(case, spoilt(read_by_medseg(case.folder), turned))[0] == "right"


def test_a_seed_gives_the_same_files_again(tmp_path):
    one, two = (write_case(tmp_path / name, 11) for name in "ab")
    assert one.kinds == two.kinds
    for here, there in zip(one.instances, two.instances, strict=True):
        assert here.path.read_bytes() == there.path.read_bytes()
