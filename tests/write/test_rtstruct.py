"""RTSTRUCT: outlines that give the mask back, on their slices, in any way a reader may combine them."""

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles.dicom_series import pixels, right_handed, rotation, write_enhanced, write_series
from oracles.tilted_ct import dice, places_of, scan_ct, solid
from project import BUNDLES

from medseg import read_volume
from medseg.bundle.metadata import read_metadata
from medseg.write.contours import outlines
from medseg.write.rtstruct import write_rtstruct

META = read_metadata(BUNDLES / "hippocampus_mr_unet3d")
OBLIQUE = rotation((3.0, 1.0, 2.0), 0.3)


def winding(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return how often a polygon runs around each voxel centre (I, J), by the edges that a ray to +x crosses."""
    i, j = np.indices(shape)
    turns = np.zeros(shape, int)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (min(y0, y1) <= j) & (j < max(y0, y1)) & (i < x0 + (j - y0) / (y1 - y0) * (x1 - x0))
        turns += np.where(crosses, 1 if y1 > y0 else -1, 0)
    return turns


def filled(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Fill polygons, having checked that even-odd, non-zero, union and exclusive or all say the same."""
    union, parity = np.zeros(shape, bool), np.zeros(shape, bool)
    for polygon in polygons:
        turns = winding(polygon, shape)
        np.testing.assert_array_equal(turns % 2 != 0, turns != 0)
        union |= turns != 0
        parity ^= turns != 0
    np.testing.assert_array_equal(union, parity)
    return union


@settings(max_examples=300, deadline=None)
@given(mask=arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans()))
def test_filled_outlines_are_the_mask(mask):
    np.testing.assert_array_equal(filled(outlines(mask), mask.shape), mask)


@pytest.mark.parametrize("thickness", [1, 2])
def test_rings_in_rings(thickness):
    i, j = np.indices((41, 41)) - 20
    mask = (np.maximum(abs(i), abs(j)) // thickness) % 2 == 0
    polygons = outlines(mask)
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)
    assert len(polygons) == np.unique(np.maximum(abs(i), abs(j))[mask] // thickness).size


def test_a_lone_voxel_is_a_diamond_of_half_its_area():
    mask = np.zeros((3, 3), bool)
    mask[1, 1] = True
    (polygon,) = outlines(mask)
    x, y = polygon.T
    area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert area == pytest.approx(0.5)


def labels_of(shape) -> np.ndarray:
    """Blobs with holes, islands in holes, single voxels and a slice without anything."""
    rng = np.random.default_rng(1)
    labels = (rng.random(shape) < 0.6).astype(np.uint8) + (rng.random(shape) < 0.3)
    labels[:, :, 1] = 0
    return labels.astype(np.uint8)


def rasterised(path, volume) -> np.ndarray:
    """Fill the contours of a file on the volume's grid, by nothing but what the file says."""
    ds = pydicom.dcmread(path)
    to_index = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine)
    found = np.zeros(volume.array.shape, np.uint8)
    for roi in ds.ROIContourSequence:
        slices: dict[int, list[np.ndarray]] = {}
        for contour in roi.get("ContourSequence", []):
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert len(points) == contour.NumberOfContourPoints
            index = (np.c_[points, np.ones(len(points))] @ to_index.T)[:, :3]
            k = int(np.round(index[0, 2]))
            np.testing.assert_allclose(index[:, 2], k, atol=1e-3)
            reference = contour.ContourImageSequence[0]
            if volume.frames:
                assert reference.ReferencedFrameNumber == volume.frames[k]
                image = pydicom.dcmread(volume.source[0])
            else:
                image = pydicom.dcmread(volume.source[k])
            assert reference.ReferencedSOPInstanceUID == image.SOPInstanceUID
            slices.setdefault(k, []).append(index[:, :2])
        for k, polygons in slices.items():
            found[:, :, k][filled(polygons, found.shape[:2])] = roi.ReferencedROINumber
    return found


@pytest.mark.parametrize("axes", right_handed()[::4])
def test_filled_contours_are_the_label_map(axes, tmp_path):
    volume = read_volume(write_series(tmp_path / "in", pixels((14, 11, 4)), OBLIQUE @ axes, backwards=True))
    labels = labels_of(volume.array.shape)
    write_rtstruct(tmp_path / "a.dcm", labels, volume, META)
    np.testing.assert_array_equal(rasterised(tmp_path / "a.dcm", volume), labels)


def test_contours_refer_to_the_frames_of_an_enhanced_file(tmp_path):
    volume = read_volume(write_enhanced(tmp_path / "in", pixels((14, 11, 4)), OBLIQUE, [3, 0, 2, 1]))
    labels = labels_of(volume.array.shape)
    write_rtstruct(tmp_path / "a.dcm", labels, volume, META)
    np.testing.assert_array_equal(rasterised(tmp_path / "a.dcm", volume), labels)


def test_contours_of_a_repaired_series_lie_in_the_planes_of_its_slices(tmp_path):
    """Placed by the header of the image it refers to, each contour lies in it and fills what is solid there."""
    scan = scan_ct(tmp_path / "in", -15, [3.5, 2.9] * 15)
    volume = read_volume(scan.folder, repair=["tilt", "uneven"])
    labels = solid(places_of(volume.affine, volume.array.shape))
    write_rtstruct(tmp_path / "a.dcm", labels, volume, META)
    images = [read_volume(file) for file in volume.source]
    numbers = {pydicom.dcmread(file).SOPInstanceUID: n for n, file in enumerate(volume.source)}
    polygons: list[list[np.ndarray]] = [[] for _ in images]
    for contour in pydicom.dcmread(tmp_path / "a.dcm").ROIContourSequence[0].ContourSequence:
        n = numbers[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        points = np.array(contour.ContourData, float).reshape(-1, 3) * [-1, -1, 1]
        index = (np.c_[points, np.ones(len(points))] @ np.linalg.inv(images[n].affine).T)[:, :3]
        np.testing.assert_allclose(index[:, 2], 0, atol=1e-3)
        polygons[n].append(index[:, :2])
    found = np.stack(
        [filled(each, image.array.shape[:2]) for each, image in zip(polygons, images, strict=True)], -1
    )
    np.testing.assert_array_equal(found, volume.repair.on_slices(labels) == 1)
    assert dice(found, solid(scan.places_mm) == 1) >= 0.98


def test_long_contours_stay_readable(tmp_path):
    """A comb of 2000 corners: its text is longer than the 64 KiB that explicit VRs allow a DS."""
    volume = read_volume(write_series(tmp_path / "in", pixels((1200, 4, 2))))
    labels = np.ones(volume.array.shape, np.uint8)
    labels[::2, 1:] = 0
    write_rtstruct(tmp_path / "a.dcm", labels, volume, META)
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    contour = ds.ROIContourSequence[0].ContourSequence[0]
    assert contour["ContourData"].VR == "DS"
    assert len("\\".join(map(str, contour.ContourData))) > 1 << 16
    np.testing.assert_array_equal(rasterised(tmp_path / "a.dcm", volume), labels)


def test_every_label_is_an_roi_with_its_name_and_colour(tmp_path):
    volume = read_volume(write_series(tmp_path / "in", pixels(), PatientName="A^B", PatientID="1"))
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[2:4, 2:4, 2] = 1
    write_rtstruct(tmp_path / "a.dcm", labels, volume, META)
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    image = pydicom.dcmread(volume.source[0])
    assert [(roi.ROINumber, roi.ROIName) for roi in ds.StructureSetROISequence] == [
        (1, "anterior"),
        (2, "posterior"),
    ]
    assert {roi.ROIGenerationAlgorithm for roi in ds.StructureSetROISequence} == {"AUTOMATIC"}
    colours = [entry["colour_rgb"] for entry in META.values["medseg"]["segments"].values()]
    assert [list(roi.ROIDisplayColor) for roi in ds.ROIContourSequence] == colours
    assert ["ContourSequence" in roi for roi in ds.ROIContourSequence] == [True, False]
    assert ds.ApprovalStatus == "UNAPPROVED"
    frame = ds.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert frame.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert series.SeriesInstanceUID == image.SeriesInstanceUID
    assert len(series.ContourImageSequence) == len(volume.source)
    assert (ds.PatientName, ds.PatientID, ds.StudyInstanceUID) == ("A^B", "1", image.StudyInstanceUID)
