"""NIfTI: every voxel as nibabel and SimpleITK read it, at its place, or a refusal by name."""

import gzip
import struct
import subprocess
import sys
import tracemalloc

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.eulerangles import euler2mat

from medseg.cases.checks import check_cases
from medseg.errors.exceptions import InputError
from medseg.errors.problems import CODES
from medseg.read.nifti import read_nifti, scan_nifti

PATIENT = b"DOE^JANE 1970"
DIM, DATATYPE, PIXDIM, VOX_OFFSET, SLOPE, UNITS, DESCRIP = 40, 70, 76, 108, 112, 123, 148
QFORM_CODE, QUATERNION, SROW = 252, 256, 280  # offsets in a NIfTI-1 header (nifti1.h)
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path):
    """Write NIfTI-1 with fields set by ``{offset: (struct format, *values)}``; its texts name a patient."""

    def write(array=None, fields=(), name="x.nii", affine=None, kind=nibabel.Nifti1Image, more=b""):
        array = np.arange(60, dtype=np.int16).reshape(3, 4, 5) if array is None else array
        image = kind(array, np.eye(4) if affine is None else affine, dtype=array.dtype)
        for field in ("descrip", "aux_file", "intent_name"):
            image.header[field] = PATIENT
        data = bytearray(image.to_bytes())
        for offset, (layout, *values) in dict(fields).items():
            struct.pack_into("<" + layout, data, offset, *values)
        path = tmp_path / name
        path.write_bytes(gzip.compress(bytes(data) + more, 1) if name.endswith(".gz") else bytes(data) + more)
        return path

    return write


def refusal(path, *, by_header=True) -> str:
    """Return the code; scan and read must agree, say what to do, and quote nothing from the file."""
    with pytest.raises(InputError) as caught:
        read_nifti(path)
    error = caught.value
    assert error.code in CODES
    assert str(path) in str(error)
    assert "DOE" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    if by_header:
        with pytest.raises(InputError) as scanned:
            scan_nifti(path)
        assert str(scanned.value) == str(error)
    else:
        scan_nifti(path)
    return error.code


def voxels(path, *codes):
    """Return the array; just these codes are tolerated, the array is the caller's own."""
    volume = read_nifti(path)
    assert volume.codes == codes
    assert volume.array.flags.owndata
    assert volume.array.flags.writeable
    assert volume.array.dtype.isnative
    header = scan_nifti(path)
    np.testing.assert_array_equal(header.affine, volume.affine)
    assert header.shape == volume.array.shape
    assert header.codes == tuple(code for code in codes if code != "IMAGE_CONSTANT")
    return volume.array


# What is read is what the independent readers read.

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


# Damage: what the file holds against what it promises.


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


def test_what_is_no_nifti_is_unreadable(file, tmp_path):
    path = tmp_path / "text.nii"
    path.write_text("not an image " * 60)
    assert refusal(path) == "FILE_UNREADABLE"
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    assert refusal(tmp_path / "empty.nii.gz") == "FILE_TRUNCATED"
    assert refusal(tmp_path / "missing.nii") == "FILE_MISSING"
    (tmp_path / "folder.nii").mkdir()
    assert refusal(tmp_path / "folder.nii") == "FILE_UNREADABLE"
    for wrong, content in (("plain.nii.gz", file().read_bytes()), ("packed.nii", gzip.compress(b"x"))):
        (tmp_path / wrong).write_bytes(content)
        assert refusal(tmp_path / wrong) == "FILE_UNREADABLE"
    for magic in (b"ni1\0", b"\0\0\0\0"):  # half of a pair; Analyze
        assert refusal(file(fields={344: ("4s", magic)})) == "FILE_UNREADABLE"


@pytest.mark.parametrize("offset", [0, 4, 351, 352.5, -352, np.nan, np.inf, 1e30, 2**27])
def test_voxels_begin_after_the_header(file, offset):
    assert refusal(file(fields={VOX_OFFSET: ("f", offset)})) == "FILE_UNREADABLE"


def test_an_extension_is_skipped(file):
    image = nibabel.load(file())
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", PATIENT * 1000))
    for name in ("e.nii", "e.nii.gz"):
        path = file().with_name(name)
        nibabel.save(image, path)
        np.testing.assert_array_equal(voxels(path), np.asarray(image.dataobj))


# Geometry.

FLIP = np.diag([-1.0, 1, 1, 1])
SHIFT = np.array([[1, 0, 0, 5.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("qform", "outcome"),
    [(np.eye(4), ()), (SHIFT, "tolerated"), (FLIP, "refused"), (np.diag([1, 1, 1.1, 1]), "refused")],
)
def test_forms_may_disagree_in_place_alone(file, qform, outcome):
    image = nibabel.load(file())
    image.set_qform(qform, 1)
    path = file().with_name("forms.nii")
    nibabel.save(image, path)
    if outcome == "refused":
        assert refusal(path) == "GEOMETRY_FORMS_DISAGREE"
    else:
        voxels(path, *(("GEOMETRY_FORMS_DISAGREE",) if outcome else ()))
        np.testing.assert_array_equal(read_nifti(path).affine, np.eye(4))
    image.set_qform(qform, 0)  # a stale form whose code is 0 is not set
    nibabel.save(image, path)
    voxels(path)


def test_an_invalid_quaternion_matters_only_where_it_is_needed(file):
    bad = {QFORM_CODE: ("h", 1), QUATERNION: ("3f", 0.9, 0.9, 0.9)}
    voxels(file(fields=bad), "GEOMETRY_FORMS_DISAGREE")
    assert refusal(file(fields={**bad, 254: ("h", 0)})) == "GEOMETRY_BAD_AFFINE"
    negative = {QFORM_CODE: ("hh", 1, 0), PIXDIM: ("4f", 1, 1, -1, 1)}
    assert refusal(file(fields=negative)) == "GEOMETRY_BAD_AFFINE"


def test_qfac_0_counts_as_1(file):
    path = file(fields={QFORM_CODE: ("hh", 1, 0), PIXDIM: ("4f", 0, 1, 2, 3)})
    np.testing.assert_array_equal(read_nifti(path).affine, np.diag([1, 2, 3, 1.0]))


def test_without_any_form_the_voxel_size_stays(file):
    path = file(fields={QFORM_CODE: ("hh", 0, 0), PIXDIM: ("4f", 1, 1, 2, 3)})
    voxels(path, "GEOMETRY_NO_FORM")
    np.testing.assert_array_equal(read_nifti(path).affine, nibabel.load(path).affine)
    assert read_nifti(path).spacing_mm == (1, 2, 3)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], "GEOMETRY_BAD_AFFINE"),
        ([0] * 12, "GEOMETRY_BAD_AFFINE"),
        ([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_BAD_AFFINE"),
        ([1, 0, 0, np.nan, 0, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_BAD_AFFINE"),
        ([np.inf, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_BAD_AFFINE"),
        ([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 700, 0], "GEOMETRY_BAD_AFFINE"),
        ([1e-4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_BAD_AFFINE"),
        ([1, 0.01, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], "GEOMETRY_SHEARED"),
        ([1, 0, 0, 0, 0, 1, 0.25, 0, 0, 0, 1, 0], "GEOMETRY_SHEARED"),
    ],
)
def test_an_affine_that_spans_no_grid_is_refused(file, rows, code):
    assert refusal(file(fields={SROW: ("12f", *rows)})) == code
    assert refusal(file(fields={SROW: ("12f", *rows), QFORM_CODE: ("h", 1)})) in (code, "GEOMETRY_FORMS_DISAGREE")


def test_rounding_is_no_shear(file):
    voxels(file(fields={SROW: ("12f", 1, 5e-4, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)}))


@pytest.mark.parametrize(
    ("dims", "code"),
    [
        ((4, 3, 4, 5, 2), "GEOMETRY_NOT_3D"),
        ((5, 3, 4, 5, 1, 3), "GEOMETRY_NOT_3D"),
        ((1, 60), "GEOMETRY_NOT_3D"),
        ((3, 3, 0, 5), "IMAGE_EMPTY"),
        ((0,), "IMAGE_EMPTY"),
        ((3, 3, -4, 5), "FILE_UNREADABLE"),
        ((9, 3, 4, 5), "FILE_UNREADABLE"),
        ((-1, 3, 4, 5), "FILE_UNREADABLE"),
        ((7, *[32767] * 7), "GEOMETRY_NOT_3D"),
    ],
)
def test_shapes_that_are_no_volume(file, dims, code):
    assert refusal(file(fields={DIM: (f"{len(dims)}h", *dims)})) == code


def test_axes_of_length_one(file):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    np.testing.assert_array_equal(voxels(file(array[..., None, None])), array)
    slice_ = array[:, :, 0]
    for given_, fields in ((slice_, {}), (slice_[..., None], {}), (slice_, {92: ("f", 0)})):
        np.testing.assert_array_equal(voxels(file(given_, fields), "GEOMETRY_SINGLE_SLICE"), slice_[..., None])
    flat = file(slice_, {QFORM_CODE: ("hh", 1, 0), PIXDIM: ("4f", 1, 2, 2, 0)})
    assert read_nifti(flat).spacing_mm == (2, 2, 1)  # a 2D image need not say how thick it is


# Values.


@pytest.mark.parametrize("number", [32, 128, 1536, 1792, 2048, 2304])
def test_colours_and_complex_numbers_are_not_scalar(file, number):
    assert refusal(file(fields={DATATYPE: ("h", number)})) == "IMAGE_NOT_SCALAR"


@pytest.mark.parametrize("number", [0, 1, 3, -4, 255])
def test_unknown_types_are_unreadable(file, number):
    assert refusal(file(fields={DATATYPE: ("h", number)})) == "FILE_UNREADABLE"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_voxels_that_are_not_finite_are_refused(file, dtype, value):
    array = np.zeros((80, 80, 80), dtype)
    array[79, 79, 79] = value
    assert refusal(file(array), by_header=False) == "IMAGE_NOT_FINITE"


def test_values_beyond_float32_are_refused(file):
    assert refusal(file(np.full((2, 2, 2), 1e39)), by_header=False) == "IMAGE_NOT_FINITE"
    assert refusal(file(fields={SLOPE: ("ff", 3e38, 0)}), by_header=False) == "IMAGE_NOT_FINITE"


@pytest.mark.parametrize(("slope", "inter"), [(0, 5), (0, np.nan), (1, 0)])
def test_slope_0_means_no_scaling(file, slope, inter):
    array = voxels(file(fields={SLOPE: ("ff", slope, inter)}))
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array, np.arange(60).reshape(3, 4, 5))


@pytest.mark.parametrize(("slope", "inter"), [(np.nan, 0), (np.inf, 0), (2, np.nan), (1, -np.inf)])
def test_a_scaling_that_is_no_number_is_not_applied(file, slope, inter):
    array = voxels(file(fields={SLOPE: ("ff", slope, inter)}), "IMAGE_NO_SCALING")
    np.testing.assert_array_equal(array, np.arange(60).reshape(3, 4, 5))


@pytest.mark.parametrize(
    ("dtype", "slope", "inter", "result"),
    [
        ("u1", 1, -10, "i2"),
        ("i1", 1, 128, "u1"),
        ("i2", 1, -1024, "i4"),
        ("i2", -1, 0, "i4"),
        ("u2", 1, -32768, "i2"),
        ("i4", 1, 1, "i8"),
        ("i8", 1, 1, "f4"),
        ("i2", 1, 0.5, "f4"),
        ("i2", 2, 0, "f4"),
        ("f8", 1, 0, "f4"),
        ("f4", 1, 1, "f4"),
    ],
)
def test_shifted_integers_stay_exact_integers(file, dtype, slope, inter, result):
    limits = np.iinfo(dtype) if dtype[0] != "f" else np.iinfo("i1")
    stored = np.array([limits.min, limits.max, 0, 1, 2, 3, 5, 7], dtype).reshape(2, 2, 2)
    array = voxels(file(stored, {SLOPE: ("ff", slope, inter)}))
    assert array.dtype == result
    expected = [float(v) * slope + inter if result == "f4" else int(v) * slope + inter for v in stored.flat]
    np.testing.assert_array_equal(array.ravel(), np.array(expected, result))


def test_a_constant_image_is_tolerated_and_almost_constant_is_not(file):
    array = np.full((90, 90, 90), 7, np.int16)
    voxels(file(array), "IMAGE_CONSTANT")
    array[45, 44, 43] = 8
    voxels(file(array))


# Label maps.


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


# Anything else.


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
