"""NIfTI: every voxel as nibabel and SimpleITK read it, at its place, or a refusal by name."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.eulerangles import euler2mat
from oracles.nifti_files import (
    voxels,
)

from medseg.cases.checks import check_cases
from medseg.errors.exceptions import InputError
from medseg.errors.problems import CODES
from medseg.read.nifti import read_nifti, scan_nifti

MANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


AFFINES = st.builds(
    lambda angles, spacing, flips, origin: nibabel.affines.from_matvec(
        euler2mat(*angles) @ np.diag(np.array(spacing) * flips), origin
    ),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(0.1, 8)] * 3),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
)


@MANY
@given(
    st.tuples(*[st.integers(2, 6)] * 3),
    st.sampled_from(["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]),
    st.sampled_from("<>"),
    st.sampled_from([nibabel.Nifti1Image, nibabel.Nifti2Image]),
    AFFINES,
    st.sampled_from([(1, 0), (1, -1024), (-1, 7), (0.5, 3), (2.7, -0.1), (0, 9)]),
    st.sampled_from([".nii", ".nii.gz"]),
    st.sampled_from(["sform", "qform", "both"]),
)
def test_array_and_place_are_nibabel_s(tmp_path, shape, dtype, order, kind, affine, scaling, suffix, form):
    rng = np.random.default_rng(0)
    stored = np.round(rng.uniform(0, 100, shape)).astype(order + dtype)
    image = kind(stored, affine, kind.header_class(endianness=order), dtype=stored.dtype)
    image.set_sform(affine, 1 if form != "qform" else 0)
    image.set_qform(affine, 1 if form != "sform" else 0)
    data = bytearray(image.to_bytes())
    at, layout = (112, "ff") if kind is nibabel.Nifti1Image else (176, "dd")
    struct.pack_into(order + layout, data, at, *scaling)
    path = tmp_path / f"x{suffix}"
    path.write_bytes(gzip.compress(bytes(data)) if suffix.endswith("gz") else bytes(data))
    volume, oracle = read_nifti(path), nibabel.load(path)
    expected = np.asarray(oracle.dataobj)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(volume.array, expected, rtol=2e-7, atol=1e-30)
    else:
        np.testing.assert_array_equal(volume.array, expected)
    if form != "qform":
        np.testing.assert_array_equal(volume.affine, oracle.affine)
    corner = np.array([*shape, 1])
    np.testing.assert_allclose(volume.affine @ corner, affine @ corner, atol=0.02)


@MANY
@given(
    st.tuples(*[st.integers(2, 6)] * 3),
    st.sampled_from([np.uint8, np.int16, np.int32, np.float32]),
    AFFINES,
    st.sampled_from([(2, 1.0), (1, 1e-3), (3, 1e3), (0, 1.0)]),
)
def test_array_and_place_are_simple_itk_s_in_every_unit(tmp_path, shape, dtype, affine, unit):
    code, per_mm = unit
    stored = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    in_unit = np.diag([per_mm, per_mm, per_mm, 1]) @ affine
    image = nibabel.Nifti1Image(stored, in_unit)
    image.set_qform(in_unit, 1)
    image.header["xyzt_units"] = code
    nibabel.save(image, tmp_path / "x.nii.gz")
    volume, itk = read_nifti(tmp_path / "x.nii.gz"), SimpleITK.ReadImage(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(itk).T)
    for index in [(0, 0, 0), tuple(n - 1 for n in shape)]:
        ours = (volume.affine @ (*index, 1))[:3] * (-1, -1, 1)
        np.testing.assert_allclose(ours, itk.TransformIndexToPhysicalPoint(index), atol=0.02)


def test_left_handed_grid_keeps_its_exact_affine(file):
    affine = np.array([[-0.75, 0, 0, 90], [0, 0.75, 0, -120], [0, 0, 3, 5], [0, 0, 0, 1.0]])
    assert np.linalg.det(affine[:3, :3]) < 0
    np.testing.assert_array_equal(read_nifti(file(affine=affine)).affine, affine)


def test_real_images_are_read_as_nibabel_reads_them(real_data):
    for path in [*sorted((real_data / "ct").glob("*.nii.gz")), *sorted((real_data / "mr").glob("*.nii.gz"))]:
        volume, oracle = read_nifti(path), nibabel.load(path)
        np.testing.assert_allclose(volume.array, np.asarray(oracle.dataobj), rtol=2e-7)
        np.testing.assert_allclose(volume.affine, oracle.affine, atol=1e-4)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "u8", "f4", "f8"])
def test_label_ids_need_not_be_contiguous_nor_integers_by_type(file, dtype):
    labels = np.zeros((6, 6, 6), dtype)
    labels[0], labels[1], labels[2] = 3, 117, 250 if dtype[0] != "i" else 90
    path = str(file(labels, name="labels.nii.gz"))
    case = {"id": "a", "image": str(file(np.arange(216, dtype=np.int16).reshape(6, 6, 6))), "label": path}
    np.testing.assert_array_equal(voxels(file(labels)), labels)
    ids = [0, 3, 117, 250, 90]
    case["image"] = str(file(np.arange(216, dtype=np.int16).reshape(6, 6, 6), name="image.nii"))
    check_cases([case], ids)
    with pytest.raises(InputError, match=r"LABEL_UNKNOWN_ID.*117"):
        check_cases([case], [0, 3, 250, 90])
    labels[3] = 2
    if dtype[0] == "f":
        labels[4, 0, 0] = 1.5
        file(labels, name="labels.nii.gz")
        with pytest.raises(InputError, match="LABEL_NOT_INTEGER"):
            check_cases([case], [*ids, 2])


@pytest.mark.parametrize("dtype", ["i8", "u8"])
def test_large_integers_are_exact(file, dtype):
    labels = np.array([2**53 + 1, 0, 1, 2**31], dtype).reshape(2, 2, 1)
    np.testing.assert_array_equal(voxels(file(labels), "GEOMETRY_SINGLE_SLICE"), labels)


@settings(MANY, max_examples=300)
@given(
    st.lists(st.tuples(st.one_of(st.integers(0, 351), st.integers(0, 10_000)), st.integers(0, 255)), max_size=6),
    st.booleans(),
    st.booleans(),
    st.integers(0, 10_000),
)
def test_any_damage_gives_a_volume_or_a_refusal(file, flips, inside, packed, cut):
    data = bytearray(file().read_bytes())
    if packed and not inside:
        data = bytearray(gzip.compress(data))
    for at, value in flips:
        data[at % len(data)] = value
    if cut < len(data) // 2:
        data = data[: len(data) - cut]
    path = file().with_name("fuzz.nii.gz" if packed else "fuzz.nii")
    path.write_bytes(gzip.compress(data) if packed and inside else data)
    volume = error = None
    try:
        volume = read_nifti(path)
    except InputError as refused:
        error = refused
    if volume is None:
        assert error.code in CODES
        assert "DOE" not in str(error)
    else:
        scan_nifti(path)
        assert np.isfinite(volume.array).all()
        assert np.isfinite(volume.affine).all()
