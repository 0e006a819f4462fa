"""Tilted and uneven CT on a straight grid: its values are those of the solid scanned, and labels find back."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.dicom_files import code_of, copy_of, edit, files
from oracles.dicom_mutations import write_case
from oracles.dicom_series import ORIGIN_LPS_MM, pixels, right_handed, rotation, write_enhanced, write_series
from oracles.tilted_ct import dice, hounsfield, places_of, radius, scan_ct, solid
from project import code_of as code_of_call

from medseg import InputError, inspect, read_volume
from medseg.preprocess.keys import IMAGE
from medseg.read.monai_reader import LoadStudyd
from medseg.read.repair import LOWEST_HU, _splines
from medseg.read.study import scan
from medseg.read.volume import Finding, Volume

BOTH = ["tilt", "uneven"]
ERROR_HU = {"tilt": 3, "uneven": 25}  # of 1060; what noise in a head CT is


def check(volume, scan, error_hu: float) -> None:
    """Compare the values in and around the solid with it, and its labels with it on the slices that were read."""
    places_mm = places_of(volume.affine, volume.array.shape)
    directions = volume.affine[:3, :3] / volume.spacing_mm
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-6)
    near = (radius(places_mm) < 1.15) & reached(volume.repair)
    assert np.count_nonzero(near & (radius(places_mm) > 1)) > 10_000
    assert np.abs(volume.array - hounsfield(places_mm))[near].max() < error_hu
    back = volume.repair.on_slices(solid(places_mm))
    truth = solid(scan.places_mm)
    assert back.shape == truth.shape
    assert dice(back, truth) >= 0.98


def reached(repair, margin: int = 6) -> np.ndarray:
    """Say which voxels of the straight grid lie within the slices around them, `margin` pixels from an edge."""
    inside = np.ones(repair.shape, bool)
    for axis in range(2):
        starts = np.interp(np.arange(repair.shape[2]), repair.starts[:, 2], repair.starts[:, axis])
        at = np.indices(repair.shape, sparse=True)[axis] - starts
        inside &= (at >= margin) & (at <= repair.size[axis] - 1 - margin)
    return inside


@pytest.mark.parametrize("degrees", [-25, -8, 0.3, 14, 25])
@pytest.mark.parametrize("around", ["row", "column"])
def test_a_tilted_solid_stands_straight(tmp_path, degrees, around):
    scan = scan_ct(tmp_path / "in", degrees, around=around)
    assert code_of(scan.folder) == "GEOMETRY_GANTRY_TILT"
    volume = read_volume(scan.folder, repair="tilt")
    assert volume.codes == ("GEOMETRY_REPAIRED_TILT",)
    assert volume.repair.facts == {"tilt_degrees": pytest.approx(abs(degrees), abs=0.01)}
    assert volume.array.dtype == np.int16
    check(volume, scan, ERROR_HU["tilt"])


@pytest.mark.parametrize("gaps_mm", [[2.0] * 21 + [4.5] * 12, [3.5, 2.9] * 15, [3.1] * 15 + [2.2] * 20])
def test_uneven_slices_become_even(tmp_path, gaps_mm):
    scan = scan_ct(tmp_path / "in", gaps_mm=gaps_mm)
    assert code_of(scan.folder) == "GEOMETRY_UNEVEN_SPACING"
    volume = read_volume(scan.folder, repair=["uneven"])
    assert volume.codes == ("GEOMETRY_REPAIRED_SPACING",)
    facts = volume.repair.facts
    assert facts["gaps_mm"] == pytest.approx([min(gaps_mm), max(gaps_mm)], abs=1e-3)
    assert facts["spacing_mm"] == pytest.approx(volume.spacing_mm[2], abs=1e-3)
    assert volume.array.shape[2] <= 2 * len(gaps_mm) + 1
    check(volume, scan, 45)


@settings(max_examples=12, deadline=None)
@given(
    degrees=st.floats(-25, 25).filter(lambda degrees: abs(degrees) > 0.1),
    gaps_mm=st.lists(st.floats(2.45, 3.35), min_size=29, max_size=29).filter(lambda gaps: np.ptp(gaps) > 0.5),
    axes=st.sampled_from(right_handed()),
    turn=st.floats(-0.5, 0.5),
    around=st.sampled_from(["row", "column"]),
    backwards=st.booleans(),
)
def test_any_tilt_order_and_orientation(tmp_path_factory, degrees, gaps_mm, axes, turn, around, backwards):
    folder = tmp_path_factory.mktemp("any")
    axes = rotation((3.0, 1.0, 2.0), turn) @ axes
    scan = scan_ct(folder / "in", degrees, gaps_mm, axes=axes, around=around, backwards=backwards)
    check(read_volume(scan.folder, repair=BOTH), scan, ERROR_HU["uneven"])
    shutil.rmtree(folder)


def test_both_hazards_need_both_repairs_and_are_told_at_once(tmp_path):
    folder = scan_ct(tmp_path / "in", 10, [3.5, 2.9] * 15).folder
    for some in ("", "tilt", "uneven"):
        with pytest.raises(Exception, match="--repair uneven --repair tilt"):
            read_volume(folder, repair=some)
    assert read_volume(folder, repair=BOTH).codes == ("GEOMETRY_REPAIRED_TILT", "GEOMETRY_REPAIRED_SPACING")


def test_every_pixel_of_every_slice_has_a_place(tmp_path):
    """The straight grid holds all of the slices: labels everywhere come back everywhere."""
    volume = read_volume(scan_ct(tmp_path / "in", 20, [3.5, 2.9] * 15).folder, repair=BOTH)
    back = volume.repair.on_slices(np.ones(volume.array.shape, np.uint8))
    assert back.all()


def test_what_needs_no_repair_is_read_as_ever(series, image):
    volume = read_volume(series, repair=BOTH)
    assert (volume.codes, volume.repair) == ((), None)
    np.testing.assert_array_equal(volume.array, image)


@pytest.mark.parametrize("axes", right_handed()[::5])
def test_an_oblique_mr_is_not_tilted(tmp_path, axes):
    folder = write_series(tmp_path / "in", pixels(), rotation((1.0, 2.0, 3.0), 0.6) @ axes)
    assert read_volume(folder, repair=BOTH).repair is None


def by_simpleitk(
    pixels_hu: np.ndarray, start: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Translate one slice by B-splines: another cubic, so that edges differ. Return it, and where it reaches."""
    slice_ = SimpleITK.GetImageFromArray(pixels_hu.T.astype(np.float64))
    grid = SimpleITK.Image(*map(int, shape[:2]), SimpleITK.sitkFloat64)
    move = SimpleITK.TranslationTransform(2, (-start[:2]).tolist())
    found = SimpleITK.Resample(slice_, grid, move, SimpleITK.sitkBSpline)
    inside = SimpleITK.Resample(slice_ * 0 + 1, grid, move)
    return SimpleITK.GetArrayFromImage(found).T, SimpleITK.GetArrayFromImage(inside).T == 1


def test_simpleitk_finds_the_same_values_slice_by_slice(tmp_path):
    scan = scan_ct(tmp_path / "in", 17)
    volume = read_volume(scan.folder, repair="tilt")
    for n in range(2, 28, 5):
        start = (np.linalg.inv(volume.affine) @ [*scan.places_mm[0, 0, n], 1])[:3]
        assert start[2] == pytest.approx(n, abs=1e-4)
        found, inside = by_simpleitk(hounsfield(scan.places_mm[:, :, n]).round(), start, volume.array.shape)
        assert np.abs(volume.array[:, :, n] - found)[inside].max() < 5
        assert (volume.array[:, :, n][~inside] == volume.array.min()).all()


def test_a_real_tilted_ct(real_data):
    """Each slice lies where its own header, read alone, puts it on the straight grid."""
    volume = read_volume(real_data / "dicom/hazards/gantry_tilt", repair="tilt")
    assert volume.codes == ("GEOMETRY_REPAIRED_TILT",)
    assert volume.repair.facts["tilt_degrees"] == pytest.approx(14, abs=0.1)
    for n, file in enumerate(volume.source):
        alone = read_volume(file)
        start = (np.linalg.inv(volume.affine) @ alone.affine)[:3, 3]
        np.testing.assert_allclose(volume.repair.starts[n], start, atol=1e-3)
        slice_hu = np.maximum(alone.array[:, :, 0], LOWEST_HU)
        for shift, off_hu in ((start, (0, 8)), (np.add(start, [0, 2, 0]), (30, 200))):
            found, inside = by_simpleitk(slice_hu, shift, volume.array.shape)
            assert off_hu[0] <= np.abs(volume.array[:, :, n] - found)[inside].mean() <= off_hu[1]


def test_padding_and_full_range_ring_nowhere(tmp_path):
    """Beyond the scanner's circle CT holds -3024; next to it, metal at the top of 12 bits."""

    def padded(image):
        i, j = np.indices(image.shape[:2]) - np.array(image.shape[:2])[:, None, None] / 2
        image = np.full_like(image, 40.0)
        image[60:70, 30:40] = 3071
        image[np.hypot(i * 0.7, j * 1.3) > 45] = -3024
        return image

    scan = scan_ct(tmp_path / "in", 13, [3.5, 2.9] * 15, change=padded)
    array = read_volume(scan.folder, repair=BOTH).array
    assert (array.min(), array.max()) == (LOWEST_HU, 3071)
    stored = read_volume(scan_ct(tmp_path / "mr", 13, change=padded, Modality="MR").folder, repair="tilt").array
    assert (stored.min(), stored.max()) == (-3024, 3071)


def test_overshoot_at_the_ends_of_the_type_does_not_wrap(tmp_path):
    """A chequerboard from end to end of uint16 gives what one of a quarter the height gives, cut off."""
    board = np.indices((40, 30, 8)).sum(axis=0) % 2
    positions = np.outer(np.arange(8), [0.3, 0.7, 2.9])
    stored = {"full": board * 65535, "quarter": board * 16384 + 20000}
    arrays = {
        name: read_volume(write_series(tmp_path / name, image, positions=positions), repair="tilt").array
        for name, image in stored.items()
    }
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.uint16)}
    inner = {name: array[5:-5, 10:-10].astype(int) for name, array in arrays.items()}
    assert np.abs(inner["full"] - 4 * (inner["quarter"] - 20000)).max() <= 8


def test_no_repair_fills_a_gap(tmp_path):
    folder = scan_ct(tmp_path / "in", 12).folder
    files(folder)[14].unlink()
    assert code_of_call(read_volume, folder, repair=BOTH) == "GEOMETRY_MISSING_SLICE"
    folder = scan_ct(tmp_path / "uneven", 0, [2.9, 3.3] * 15).folder
    files(folder)[14].unlink()
    assert code_of_call(read_volume, folder, repair=BOTH) == "GEOMETRY_MISSING_SLICE"


def test_no_repair_for_slices_off_one_line_or_tilted_beyond_any_gantry(tmp_path):
    folder = scan_ct(tmp_path / "in", 12).folder
    edit(files(folder)[14], ImagePositionPatient=[0, 0, 3])
    assert code_of_call(read_volume, folder, repair=BOTH) == "GEOMETRY_UNEVEN_SPACING"
    folder = scan_ct(tmp_path / "tilted", 60).folder
    assert code_of_call(read_volume, folder, repair=BOTH) == "GEOMETRY_GANTRY_TILT"


def test_a_straight_grid_beyond_the_memory_is_refused_before_it_is_made(series, monkeypatch):
    for n, file in enumerate(files(series)):
        edit(file, ImagePositionPatient=[0, n * 300, n * 400])
    monkeypatch.setattr("medseg.read.volume.free_bytes", lambda: 4000)
    assert code_of_call(read_volume, series, repair="tilt") == "FILE_TOO_LARGE"


@pytest.mark.parametrize("far_mm", [1e8, 1e200, -1e308])
def test_positions_beyond_any_room_are_refused_by_name(series, far_mm):
    edit(files(series)[2], ImagePositionPatient=[0, far_mm, 8])
    assert code_of(series) == "GEOMETRY_BAD_AFFINE"
    assert code_of_call(read_volume, series, repair=BOTH) == "GEOMETRY_BAD_AFFINE"


def test_frames_of_an_enhanced_file_are_repaired_too(tmp_path):
    leaning = np.eye(3)
    leaning[:, 2] = [0, 0.3, 1]  # the frames' normal stays along z
    folder = write_enhanced(tmp_path / "in", pixels((20, 24, 5)), leaning, [3, 0, 4, 2, 1])
    assert code_of(folder) == "GEOMETRY_GANTRY_TILT"
    volume = read_volume(folder, repair="tilt")
    assert volume.frames == (2, 5, 4, 1, 3)
    single = write_series(
        tmp_path / "single",
        pixels((20, 24, 5)),
        positions=ORIGIN_LPS_MM + np.outer(np.arange(5) * 2.9, leaning[:, 2]),
    )
    np.testing.assert_array_equal(volume.array, read_volume(single, repair="tilt").array)


def test_ct_that_is_stored_without_an_offset(tmp_path):
    """Unsigned, so that -1024 is no value of its type."""
    folder = scan_ct(tmp_path / "in", 12, RescaleIntercept=0).folder
    volume = read_volume(folder, repair="tilt")
    assert volume.array.dtype == np.uint16
    assert volume.array.min() == read_volume(files(folder)[0]).array.min()


@pytest.mark.parametrize("start", [0, 40])
def test_what_is_read_without_a_repair_is_read_the_same_with_it(start, tmp_path):
    """Whatever happened to the series; and what is refused still is, or says that it was repaired."""
    for seed in range(start, start + 40):
        folder = write_case(tmp_path / str(seed), seed).folder
        plain, repaired = ([*_read(scan(folder, repairs))] for repairs in ((), BOTH))
        for a, b in zip(plain, repaired, strict=False):
            if isinstance(a, Volume) and len(plain) == len(repaired):
                assert a.codes == b.codes
                np.testing.assert_array_equal(a.array, b.array)
                np.testing.assert_array_equal(a.affine, b.affine)
            elif isinstance(b, Volume):
                assert b.repair is not None


def _read(found: list[Finding]) -> Iterator[Volume | None]:
    for finding in found:
        try:
            yield finding.load() if finding.load else None
        except InputError:
            yield None


def test_two_phases_and_two_series_are_told_apart_as_ever(tmp_path):
    folder = scan_ct(tmp_path / "in", 12, AcquisitionNumber=1).folder
    for n, file in enumerate(files(folder)):
        copy_of(file, f"second_{n}.dcm", AcquisitionNumber=2, PixelData=bytes(2 * 132 * 80))
    assert code_of_call(read_volume, folder, repair=BOTH) == "DICOM_SEVERAL_SERIES"
    scan_ct(tmp_path / "two" / "a", -12, SeriesDescription="head")
    scan_ct(tmp_path / "two" / "b", SeriesDescription="neck")
    for description, codes in (("head", ("GEOMETRY_REPAIRED_TILT",)), ("neck", ())):
        assert read_volume(tmp_path / "two", description=description, repair=BOTH).codes == codes


def test_a_single_slice_and_other_formats_have_nothing_to_repair(save, series):
    for file in files(series)[1:]:
        file.unlink()
    assert read_volume(series, repair=BOTH).codes == ("GEOMETRY_SINGLE_SLICE",)
    assert read_volume(save("a.nii.gz", np.eye(3)[None]), repair=BOTH).repair is None


def test_other_repairs_are_refused(series):
    for repair in ("tilted", ["tilt", "gap"]):
        assert code_of_call(read_volume, series, repair=repair) == "CONFIG_BAD_VALUE"


def test_inspect_names_the_repair(tmp_path):
    for folder, repair in (
        (scan_ct(tmp_path / "a", 9).folder, "tilt"),
        (scan_ct(tmp_path / "b", 0, [3.5, 2.9] * 15).folder, "uneven"),
    ):
        (row,) = inspect(folder)
        assert f"--repair {repair}" in row["message"]
        assert f"--repair {repair}" in row["remedy"][0]


def test_transforms_repair_too(tmp_path):
    folder = scan_ct(tmp_path / "in", 9).folder
    loaded = LoadStudyd(IMAGE, repair=["tilt"])({IMAGE: str(folder)})[IMAGE]
    assert loaded.meta["codes"] == "GEOMETRY_REPAIRED_TILT"
    np.testing.assert_array_equal(loaded[0], read_volume(folder, repair="tilt").array)


@given(
    gaps=st.lists(st.floats(0.1, 10), min_size=1, max_size=8),
    line=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    at=st.lists(st.floats(0, 1), min_size=1, max_size=8),
)
def test_splines_keep_lines_and_nodes_and_overshoot_little(gaps, line, at):
    nodes = np.r_[0, np.cumsum(gaps)]
    at = np.array(at) * nodes[-1]
    four, weights = _splines(nodes, at)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(
        (weights * (line[0] + line[1] * nodes[four])).sum(axis=1), line[0] + line[1] * at, atol=1e-6
    )
    assert weights[:, [0, 3]].min() >= -4 / 27 - 1e-12
    four, weights = _splines(nodes, nodes)
    np.testing.assert_allclose((weights * nodes[four]).sum(axis=1), nodes, atol=1e-9)
