"""NRRD and MetaImage: every voxel where SimpleITK puts it, or a refusal by name."""

import tracemalloc

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.eulerangles import euler2mat

from medseg.errors.exceptions import InputError
from medseg.errors.problems import CODES
from medseg.read.itk_formats import is_itk_format, read_itk, scan_itk

KINDS = [("x.nrrd", False), ("x.nrrd", True), ("x.mha", False), ("x.mha", True)]
TYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NRRD = """NRRD0004
type: uchar
dimension: 3
space: left-posterior-superior
sizes: 3 4 5
space directions: (1,0,0) (0,1,0) (0,0,1)
encoding: raw
space origin: (0,0,0)

"""
META = """ObjectType = Image
NDims = 3
BinaryData = True
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1 1 1
DimSize = 3 4 5
ElementType = MET_UCHAR
ElementDataFile = LOCAL
"""
VOXELS = np.arange(60, dtype=np.uint8)


@pytest.fixture
def write(tmp_path):
    def write_image(array, name="x.nrrd", packed=False, vector=False):
        path = tmp_path / name
        image = SimpleITK.GetImageFromArray(array.T, isVector=vector)
        SimpleITK.WriteImage(image, path, packed)
        return path

    return write_image


@pytest.fixture
def text(tmp_path):
    """Write a header of ours, changed by one replacement, with its 60 voxels."""

    def write_text(header, old="", new=""):
        assert old in header
        path = tmp_path / ("x.nrrd" if header is NRRD else "x.mha")
        path.write_bytes(header.replace(old, new, 1).encode() + VOXELS.tobytes())
        return path

    return write_text


def refusal(path, *, by_header=True) -> str:
    with pytest.raises(InputError) as caught:
        read_itk(path)
    assert caught.value.code in CODES
    assert str(path) in str(caught.value)
    assert caught.value.__cause__ is None
    if by_header:
        with pytest.raises(InputError) as scanned:
            scan_itk(path)
        assert str(scanned.value) == str(caught.value)
    else:
        scan_itk(path)
    return caught.value.code


@MANY
@given(
    st.tuples(*[st.integers(2, 6)] * 3),
    st.sampled_from(TYPES),
    st.sampled_from(KINDS),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(0.1, 8)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.booleans(),
)
def test_array_and_place_are_simple_itk_s(tmp_path, shape, dtype, kind, angles, spacing, origin, left_handed):
    stored = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    image = SimpleITK.GetImageFromArray(stored.T)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection((euler2mat(*angles) @ np.diag([-1 if left_handed else 1, 1, 1])).ravel())
    path = tmp_path / kind[0]
    SimpleITK.WriteImage(image, path, kind[1])
    volume, scanned, itk = read_itk(path), scan_itk(path), SimpleITK.ReadImage(path)
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(itk).T)
    assert volume.array.dtype == np.dtype("f4" if dtype == "f8" else dtype)
    assert volume.array.flags.owndata
    assert volume.array.flags.writeable
    assert volume.codes == scanned.codes or volume.codes == ("IMAGE_CONSTANT",)
    assert scanned.shape == shape
    np.testing.assert_array_equal(scanned.affine, volume.affine)
    for index in [(0, 0, 0), tuple(n - 1 for n in shape)]:
        ours = (volume.affine @ (*index, 1))[:3] * (-1, -1, 1)
        np.testing.assert_allclose(ours, itk.TransformIndexToPhysicalPoint(index), atol=1e-9)


@pytest.mark.parametrize("header", [NRRD, META])
def test_our_own_headers_are_valid(text, header):
    volume = read_itk(text(header))
    np.testing.assert_array_equal(volume.array, VOXELS.reshape(3, 4, 5, order="F"))
    assert volume.codes == ()
    np.testing.assert_array_equal(volume.affine, np.diag([-1, -1, 1, 1.0]))


def test_a_space_of_ras_is_turned(text):
    path = text(NRRD, "left-posterior-superior", "right-anterior-superior")
    np.testing.assert_array_equal(read_itk(path).affine, np.eye(4))


def test_big_endian_voxels(tmp_path):
    expected = np.arange(60, dtype=np.int16).reshape(3, 4, 5, order="F") * 300
    data = expected.astype(">i2").tobytes(order="F")
    nrrd, meta = tmp_path / "x.nrrd", tmp_path / "x.mha"
    nrrd.write_bytes(NRRD.replace("uchar", "short\nendian: big").encode() + data)
    meta.write_bytes(
        META.replace("UCHAR", "SHORT").replace("NDims", "BinaryDataByteOrderMSB = True\nNDims").encode() + data
    )
    for path in (nrrd, meta):
        np.testing.assert_array_equal(read_itk(path).array, expected)
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)).T, expected)


@pytest.mark.parametrize(
    ("header", "old", "new"),
    [
        (NRRD, "space: left-posterior-superior\n", ""),
        (NRRD, "left-posterior-superior", "3D-right-handed"),
        (
            NRRD,
            "space: left-posterior-superior\nsizes: 3 4 5\nspace directions: (1,0,0) (0,1,0) (0,0,1)",
            "sizes: 3 4 5",
        ),
        (META, "TransformMatrix = 1 0 0 0 1 0 0 0 1\n", ""),
    ],
)
def test_a_place_that_is_not_said_is_tolerated_by_name(text, header, old, new):
    if "space directions" in old:
        header_end = ("space origin: (0,0,0)\n", "")
        path = text(NRRD, old, new)
        path.write_bytes(path.read_bytes().replace(*[part.encode() for part in header_end]))
    elif old.startswith("space: "):
        path = text(NRRD, old, "space dimension: 3\n")
    else:
        path = text(header, old, new)
    assert read_itk(path).codes == ("GEOMETRY_NO_FORM",)


@pytest.mark.parametrize(("name", "packed"), KINDS)
def test_two_axes_get_a_third(write, name, packed):
    array = np.arange(12, dtype=np.int16).reshape(3, 4)
    volume = read_itk(write(array, name, packed))
    np.testing.assert_array_equal(volume.array, array[..., None])
    assert "GEOMETRY_SINGLE_SLICE" in volume.codes


@pytest.mark.parametrize(("name", "packed"), KINDS)
def test_what_is_no_scalar_volume_is_refused(write, name, packed):
    rng = np.random.default_rng(0)
    assert refusal(write(rng.random((3, 4, 5, 2)), name, packed)) == "GEOMETRY_NOT_3D"
    assert refusal(write(rng.random((3, 4, 5, 6)), name, packed, vector=True)) == "IMAGE_NOT_SCALAR"
    assert refusal(write(np.full((2, 2, 2), np.nan), name, packed), by_header=False) == "IMAGE_NOT_FINITE"
    assert read_itk(write(np.full((2, 2, 2), 4), name, packed)).codes == ("IMAGE_CONSTANT",)


@pytest.mark.parametrize(
    ("header", "old", "new", "code"),
    [
        (NRRD, "encoding: raw", "encoding: raw\ndata file: ../../etc/passwd", "FILE_UNREADABLE"),
        (NRRD, "encoding: raw", "encoding: bzip2", "FILE_UNREADABLE"),
        (NRRD, "encoding: raw", "encoding: raw\nencoding: raw", "FILE_UNREADABLE"),
        (NRRD, "encoding: raw", 'encoding: raw\nspace units: "um" "um" "um"', "FILE_UNREADABLE"),
        (NRRD, "NRRD", "NRRE", "FILE_UNREADABLE"),
        (NRRD, "type: uchar", "type: DOE^JANE", "FILE_UNREADABLE"),
        (NRRD, "\n\n", "", "FILE_UNREADABLE"),
        (NRRD, "3 4 5", "3 0 5", "IMAGE_EMPTY"),
        (NRRD, "3 4 5", "3 4 -5", "FILE_UNREADABLE"),
        (NRRD, "3 4 5", "3 4", "FILE_UNREADABLE"),
        (NRRD, "3 4 5", "30000 40000 50000", "FILE_TRUNCATED"),
        (NRRD, "(1,0,0)", "(0,0,0)", "GEOMETRY_BAD_AFFINE"),
        (NRRD, "(1,0,0)", "(0,1,0)", "GEOMETRY_BAD_AFFINE"),
        (NRRD, "(1,0,0)", "(1,0.2,0)", "GEOMETRY_SHEARED"),
        (META, "LOCAL", "../../etc/passwd", "FILE_UNREADABLE"),
        (META, "LOCAL", "LIST", "FILE_UNREADABLE"),
        (META, "NDims = 3", "NDims = 4", "FILE_UNREADABLE"),
        (META, "BinaryData = True", "BinaryData = False", "FILE_UNREADABLE"),
        (META, "BinaryData = True", "DistanceUnits = um", "FILE_UNREADABLE"),
        (META, "MET_UCHAR", "MET_DOE^JANE", "FILE_UNREADABLE"),
        (META, "MET_UCHAR", "MET_UCHAR_ARRAY", "IMAGE_NOT_SCALAR"),
        (META, "3 4 5", "3 0 5", "IMAGE_EMPTY"),
        (META, "3 4 5", "3-4 5", "FILE_UNREADABLE"),
        (META, "1 1 1", "1.1 1", "FILE_UNREADABLE"),
        (META, "Offset = 0 0 0", "Offset = 0 x 0", "FILE_UNREADABLE"),
        (META, "3 4 5", "30000 40000 50000", "FILE_TRUNCATED"),
        (META, "1 1 1", "1 -1 1", "GEOMETRY_BAD_AFFINE"),
        (META, "1 1 1", "1 0 1", "GEOMETRY_BAD_AFFINE"),
        (META, "1 1 1", "1 900 1", "GEOMETRY_BAD_AFFINE"),
        (META, "= 1 0 0 0", "= 1 0 0 0.2", "GEOMETRY_SHEARED"),
    ],
)
def test_a_header_that_is_no_volume_is_refused(text, capfd, header, old, new, code):
    path = text(header, old, new)
    tracemalloc.start()
    assert refusal(path) == code
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20
    with pytest.raises(InputError) as caught:
        read_itk(path)
    assert "DOE" not in str(caught.value)
    assert "etc" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "packed"), KINDS)
def test_damage_is_named(write, name, packed):
    """SimpleITK gives a compressed MetaImage with a flipped byte as if nothing were wrong."""
    array = np.random.default_rng(0).integers(0, 1000, (20, 20, 20)).astype(np.int16)
    path = write(array, name, packed)
    whole = path.read_bytes()
    for cut in (1, 10, len(whole) // 2):
        path.write_bytes(whole[:-cut])
        with pytest.raises(InputError, match="FILE_TRUNCATED"):
            read_itk(path)
    if packed:
        flipped = bytearray(whole)
        flipped[len(whole) * 3 // 4] ^= 0xFF
        path.write_bytes(flipped)
        assert refusal(path, by_header=False) == "FILE_UNREADABLE"
    else:
        path.write_bytes(whole + bytes(2**17))
        assert refusal(path, by_header=False) == "FILE_TOO_LARGE"


@pytest.mark.parametrize("name", ["x.nrrd", "x.mha"])
def test_a_bomb_is_stopped_at_once(write, name):
    path = write(np.zeros((512, 512, 256), np.uint8), name, packed=True)
    path.write_bytes(path.read_bytes().replace(b"512 512 256", b"51 51 2", 1))
    tracemalloc.start()
    assert refusal(path, by_header=False) == "FILE_TOO_LARGE"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_detached_headers_are_recognized_and_refused(text):
    for name in ("a.nhdr", "a.mhd"):
        path = text(NRRD).rename(text(NRRD).with_name(name))
        assert is_itk_format(path)
        assert refusal(path) == "FILE_UNREADABLE"
    assert not is_itk_format("a.nii")
    assert not is_itk_format("._a.nrrd")
    assert refusal(text(META).with_name("missing.mha")) == "FILE_MISSING"


@settings(MANY, max_examples=400)
@given(
    st.sampled_from(KINDS),
    st.lists(
        st.tuples(st.integers(0, 2000), st.one_of(st.integers(0, 255), st.sampled_from(b"0123456789 -.\n:=()"))),
        max_size=4,
    ),
    st.integers(0, 2000),
)
def test_any_damage_gives_a_volume_or_a_refusal_and_no_noise(write, capfd, kind, flips, cut):
    path = write(np.arange(60, dtype=np.int16).reshape(3, 4, 5), *kind)
    data = bytearray(path.read_bytes())
    for at, value in flips:
        data[at % len(data)] = value
    path.write_bytes(data[: len(data) - cut] if cut < len(data) // 2 else data)
    capfd.readouterr()
    volume = error = None
    try:
        volume = read_itk(path)
    except InputError as refused:
        error = refused
    assert capfd.readouterr() == ("", "")
    if volume is None:
        assert error.code in CODES
    else:
        assert np.isfinite(volume.array).all()
        assert np.isfinite(volume.affine).all()
