"""DICOM SEG: every voxel on its source slice, read by highdicom and by plain pydicom; nothing invented."""

import dataclasses
import shutil
import subprocess

import highdicom
import numpy as np
import pydicom
import pytest
from oracles.dicom_series import labels_of, pixels, right_handed, rotation, write_enhanced, write_series
from oracles.tilted_ct import dice, places_of, scan_ct, solid
from project import BUNDLES, SAMPLES

from medseg import InputError, read_volume
from medseg.bundle.metadata import Metadata, read_metadata
from medseg.write.dicom_seg import SEG_TYPES, write_dicom_seg
from medseg.write.rtstruct import write_rtstruct

META = read_metadata(BUNDLES / "hippocampus_mr_unet3d")
OBLIQUE = rotation((1.0, 2.0, 3.0), 0.4)


def by_highdicom(path, volume) -> np.ndarray:
    """Return the label map as highdicom gives it for the source instances or frames, in the volume's order."""
    seg = highdicom.seg.segread(path)
    uids = [pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in volume.source]
    how = {"combine_segments": True, "ignore_spatial_locations": True, "assert_missing_frames_are_empty": True}
    if volume.frames:
        stack = seg.get_pixels_by_source_frame(uids[0], list(volume.frames), **how)
    else:
        stack = seg.get_pixels_by_source_instance(uids, **how)
    return stack.transpose(2, 1, 0)


def by_pydicom(path, volume) -> np.ndarray:
    """Put each frame's pixels at the place its functional groups give, and look up the volume's voxels there."""
    ds = pydicom.dcmread(path)
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    shared = ds.SharedFunctionalGroupsSequence[0]
    row, column = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    to_index = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine)
    found = np.zeros(volume.array.shape, np.uint8)
    j, i = np.indices((ds.Rows, ds.Columns)).reshape(2, -1, 1)
    for pixel_values, groups in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        origin = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        lps = origin + i * between_columns * row + j * between_rows * column
        index = (np.c_[lps, np.ones(len(lps))] @ to_index.T)[:, :3]
        nearest = np.round(index).astype(int)
        assert np.abs(index - nearest).max() < 1e-3
        if ds.SegmentationType == "LABELMAP":
            values = pixel_values.ravel()
        else:
            groups = groups if "SegmentIdentificationSequence" in groups else shared
            values = pixel_values.ravel() * groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        inside = values > 0
        found[tuple(nearest[inside].T)] = values[inside]
    return found


@pytest.mark.parametrize("seg_type", SEG_TYPES)
@pytest.mark.parametrize("axes", right_handed())
def test_every_orientation_comes_back_to_the_voxel(axes, seg_type, tmp_path):
    for backwards in (False, True):
        folder = write_series(tmp_path / str(backwards), pixels(), OBLIQUE @ axes, backwards=backwards)
        volume = read_volume(folder)
        np.testing.assert_array_equal(volume.array, pixels())
        labels = labels_of(volume)
        write_dicom_seg(tmp_path / "a.seg.dcm", labels, volume, META, seg_type=seg_type)
        np.testing.assert_array_equal(by_highdicom(tmp_path / "a.seg.dcm", volume), labels)
        np.testing.assert_array_equal(by_pydicom(tmp_path / "a.seg.dcm", volume), labels)


@pytest.mark.parametrize("seg_type", SEG_TYPES)
def test_frames_of_an_enhanced_file_are_referred_to_by_number(seg_type, tmp_path):
    volume = read_volume(write_enhanced(tmp_path / "in", pixels(), OBLIQUE, [3, 0, 4, 2, 1]))
    assert volume.frames == (2, 5, 4, 1, 3)
    labels = labels_of(volume)
    write_dicom_seg(tmp_path / "a.seg.dcm", labels, volume, META, seg_type=seg_type)
    np.testing.assert_array_equal(by_highdicom(tmp_path / "a.seg.dcm", volume), labels)
    np.testing.assert_array_equal(by_pydicom(tmp_path / "a.seg.dcm", volume), labels)


def test_a_volume_of_several_multi_frame_files(tmp_path):
    """As scanners split a large object (a concatenation, PS3.3 C.7.6.16.2.2.4)."""
    for n, order in enumerate(([4, 1], [0, 3, 2])):
        write_enhanced(tmp_path / "in" / str(n), pixels(), OBLIQUE, order)
        ds = pydicom.dcmread(tmp_path / "in" / str(n) / "enhanced.dcm")
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", "1.2.4", "1.2.5"
        ds.save_as(tmp_path / "in" / str(n) / "enhanced.dcm")
    volume = read_volume(tmp_path / "in")
    np.testing.assert_array_equal(volume.array, pixels())
    assert [(path.parent.name, frame) for path, frame in zip(volume.source, volume.frames, strict=True)] == [
        ("1", 1),
        ("0", 2),
        ("1", 3),
        ("1", 2),
        ("0", 1),
    ]
    labels = labels_of(volume)
    write_dicom_seg(tmp_path / "a.seg.dcm", labels, volume, META)
    np.testing.assert_array_equal(by_pydicom(tmp_path / "a.seg.dcm", volume), labels)


def test_vendors_series_come_back_to_the_voxel(real_data, tmp_path):
    for vendor in ("siemens", "ge", "philips_enhanced", "compressed_rle"):
        volume = read_volume(real_data / "dicom/vendors" / vendor / "series")
        labels = np.zeros(volume.array.shape, np.uint8)
        labels[3:40, 5:60, 1:] = 1
        labels[50:90, 30:50, 1:3] = 2
        write_dicom_seg(tmp_path / "a.seg.dcm", labels, volume, META)
        np.testing.assert_array_equal(by_highdicom(tmp_path / "a.seg.dcm", volume), labels)
        np.testing.assert_array_equal(by_pydicom(tmp_path / "a.seg.dcm", volume), labels)


@pytest.mark.parametrize("seg_type", SEG_TYPES)
@pytest.mark.parametrize(
    ("degrees", "gaps_mm"),
    [(-18, None), (0, [3.5, 2.9] * 15), (12, [3.5, 2.9] * 15)],
    ids=["tilt", "uneven", "both"],
)
def test_labels_of_a_repaired_series_lie_on_the_slices_that_were_read(seg_type, degrees, gaps_mm, tmp_path):
    scan = scan_ct(tmp_path / "in", degrees, gaps_mm, backwards=True)
    volume = read_volume(scan.folder, repair=["tilt", "uneven"])
    labels = solid(places_of(volume.affine, volume.array.shape))
    write_dicom_seg(tmp_path / "a.seg.dcm", labels, volume, META, seg_type=seg_type)
    found = by_highdicom(tmp_path / "a.seg.dcm", volume)
    np.testing.assert_array_equal(found, volume.repair.on_slices(labels))
    assert dice(found, solid(scan.places_mm)) >= 0.98
    images = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, volume.source)}
    seg = pydicom.dcmread(tmp_path / "a.seg.dcm")
    shared = seg.SharedFunctionalGroupsSequence[0]
    assert ("SpacingBetweenSlices" in shared.PixelMeasuresSequence[0]) == (gaps_mm is None)
    assert {item.ReferencedSOPInstanceUID for item in seg.SourceImageSequence} == set(images)
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (item,) = frame.DerivationImageSequence[0].SourceImageSequence
        image = images[item.ReferencedSOPInstanceUID]
        assert frame.PlanePositionSequence[0].ImagePositionPatient == image.ImagePositionPatient
        assert shared.PlaneOrientationSequence[0].ImageOrientationPatient == image.ImageOrientationPatient


@pytest.mark.parametrize("seg_type", SEG_TYPES)
def test_an_empty_result_has_every_frame_and_no_voxel(seg_type, tmp_path):
    volume = read_volume(write_series(tmp_path / "in", pixels()))
    write_dicom_seg(
        tmp_path / "a.seg.dcm", np.zeros(volume.array.shape, np.uint8), volume, META, seg_type=seg_type
    )
    ds = pydicom.dcmread(tmp_path / "a.seg.dcm")
    assert ds.NumberOfFrames == 5 * (2 if seg_type == "BINARY" else 1)
    assert not ds.pixel_array.any()
    assert not by_highdicom(tmp_path / "a.seg.dcm", volume).any()


def test_label_ids_with_gaps(tmp_path):
    """BINARY numbers segments from 1; LABELMAP keeps the ids."""
    volume = read_volume(write_series(tmp_path / "in", pixels()))
    channels = {"0": "background", "7": "b", "3": "a"}
    outputs = {"outputs": {"pred": {"channel_def": channels}}}
    meta = Metadata({**META.values, "medseg": {}, "network_data_format": outputs})
    labels = labels_of(volume) * 4
    labels[labels == 4] = 3
    labels[labels == 8] = 7
    write_dicom_seg(tmp_path / "b.dcm", labels, volume, meta)
    write_dicom_seg(tmp_path / "l.dcm", labels, volume, meta, seg_type="LABELMAP")
    np.testing.assert_array_equal(by_pydicom(tmp_path / "l.dcm", volume), labels)
    np.testing.assert_array_equal(np.array([0, 3, 7])[by_pydicom(tmp_path / "b.dcm", volume)], labels)
    segments = pydicom.dcmread(tmp_path / "b.dcm").SegmentSequence
    assert [(s.SegmentNumber, s.SegmentLabel) for s in segments] == [(1, "a"), (2, "b")]
    assert segments[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"


def test_segments_are_what_the_bundle_says(tmp_path):
    volume = read_volume(write_series(tmp_path / "in", pixels()))
    write_dicom_seg(tmp_path / "a.dcm", np.ones(volume.array.shape, np.uint8), volume, META)
    ds = pydicom.dcmread(tmp_path / "a.dcm")
    for segment, (name, entry) in zip(ds.SegmentSequence, META.values["medseg"]["segments"].items(), strict=True):
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        for key, code in {
            "category": segment.SegmentedPropertyCategoryCodeSequence[0],
            "type": kind,
            "type_modifier": kind.SegmentedPropertyTypeModifierCodeSequence[0],
            "anatomic_region": segment.AnatomicRegionSequence[0],
        }.items():
            assert [code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning] == entry[key]
        lab = highdicom.color.CIELabColor.from_dicom_value(tuple(segment.RecommendedDisplayCIELabValue))
        np.testing.assert_allclose(lab.to_rgb(), entry["colour_rgb"], atol=1)
        assert segment.SegmentLabel == name
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (
            META.values["name"],
            META.values["version"],
        )
        assert segment.SegmentAlgorithmType == "AUTOMATIC"


def test_slices_may_differ_in_the_last_digit_of_their_cosines(tmp_path):
    volume = read_volume(write_series(tmp_path / "in", pixels(), OBLIQUE))
    ds = pydicom.dcmread(volume.source[3])
    ds.ImageOrientationPatient = [f"{float(value):.6f}" for value in ds.ImageOrientationPatient]
    ds.save_as(volume.source[3])
    volume = read_volume(tmp_path / "in")
    write_dicom_seg(tmp_path / "a.dcm", labels_of(volume), volume, META)
    np.testing.assert_array_equal(by_highdicom(tmp_path / "a.dcm", volume), labels_of(volume))


@pytest.mark.parametrize("write", [write_dicom_seg, write_rtstruct])
def test_refusals(write, save, tmp_path):
    nifti = read_volume(save("a.nii.gz", np.zeros((4, 5, 6), np.uint8)))
    series = read_volume(write_series(tmp_path / "in", pixels()))
    moved = dataclasses.replace(series, source=series.source[::-1])
    short = dataclasses.replace(series, source=series.source[1:])
    tilted = read_volume(scan_ct(tmp_path / "tilted", 9).folder, repair="tilt")
    turned = dataclasses.replace(tilted, source=tilted.source[::-1])
    good = labels_of(series)
    for code, labels, volume in [
        ("GEOMETRY_LABEL_GRID", labels_of(tilted), turned),
        ("GEOMETRY_LABEL_GRID", tilted.repair.on_slices(labels_of(tilted)), tilted),
        ("FORMAT_NEEDS_DICOM", np.zeros((4, 5, 6), np.uint8), nifti),
        ("GEOMETRY_LABEL_GRID", good[1:], series),
        ("GEOMETRY_LABEL_GRID", good, moved),
        ("GEOMETRY_LABEL_GRID", good, short),
        ("LABEL_UNKNOWN_ID", good + np.uint8(1), series),
    ]:
        with pytest.raises(InputError) as caught:
            write(tmp_path / "a.dcm", labels, volume, META)
        assert caught.value.code == code
    for entry in ({"type": ["only", "two"]}, {"colour_rgb": [0, 0, 256]}, {"typ": ["1", "SCT", "x"]}):
        metadata = Metadata({**META.values, "medseg": {"segments": {"anterior": entry}}})
        with pytest.raises(InputError, match="CONFIG_BAD_VALUE"):
            write(tmp_path / "a.dcm", good, series, metadata)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.nii.gz"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("write", [write_dicom_seg, write_rtstruct])
def test_dciodvfy_finds_no_error(write, empty, real_data, tmp_path):
    """LABELMAP is younger than the dciodvfy that Debian has."""
    made = [
        SAMPLES / "mr_held_back/images/mr_19",
        write_series(tmp_path / "in", pixels(), OBLIQUE, StudyInstanceUID=None, SliceThickness=None),
        write_enhanced(tmp_path / "enhanced", pixels(), OBLIQUE, [3, 0, 4, 2, 1]),
        scan_ct(tmp_path / "tilted", 12, [3.5, 2.9] * 4).folder,
    ]
    vendors = [real_data / "dicom/vendors" / vendor / "series" for vendor in ("siemens", "philips_enhanced")]
    for folder in (*made, *vendors):
        volume = read_volume(folder, repair=["tilt", "uneven"])
        labels = labels_of(volume) * (not empty)
        labels[20:], labels[:, 20:] = 0, 0  # dciodvfy takes minutes over a hundred thousand contours
        write(tmp_path / "a.dcm", labels, volume, META)
        done = subprocess.run(["dciodvfy", tmp_path / "a.dcm"], capture_output=True, text=True, check=False)
        report = done.stdout + done.stderr
        assert "Segmentation" in report or "RTStructureSet" in report
        assert [line for line in report.splitlines() if line.startswith("Error")] == []
