"""Label maps as DICOM Segmentation (PS3.3 A.51), by highdicom: voxel for voxel, each frame on its source slice."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid

from medseg.bundle import Metadata, Segment, segments_of
from medseg.cases import region_mask
from medseg.errors import InputError
from medseg.files import atomic
from medseg.read import Volume, quiet
from medseg.write.dicom_header import UTF_8
from medseg.write.dicom_source import Source, on_slices, read_source

if TYPE_CHECKING:
    import highdicom

SEG_TYPES = ("BINARY", "LABELMAP")
SERIES_NUMBER = 901  # after the scanner's own
NO_SERIAL_NUMBER = "not applicable"  # the standard wants a text (PS3.3 C.7.5.2); software has none


def write_dicom_seg(
    path: str | Path,
    labels: np.ndarray,
    volume: Volume,
    metadata: Metadata,
    *,
    seg_type: str = "BINARY",
) -> None:
    """Write a label map as DICOM SEG that refers to the images it was made of.

    Frames without a labelled voxel are left out, as viewers expect; where nothing is labelled at all, every
    frame is written, empty. Each file gets a new series and instance UID.

    Parameters
    ----------
    labels
        Unsigned integers (I, J, K), the grid of `volume`. If that was repaired, they are brought back to the
        slices that were read, each pixel getting the nearest label.
    volume
        As `medseg.read_volume` gave it; its files are read again for patient, study and references.
    metadata
        The bundle's ``metadata.json``: name, version, labels and, under ``medseg``, ``segments``, their codes
        and colours (see `medseg.bundle.segments.segments_of`).
    seg_type
        ``"BINARY"``: a frame for each segment and slice, one bit a voxel; segments are numbered from 1.
        ``"LABELMAP"``: one frame a slice that holds label ids (DICOM since 2024; few viewers know it yet), and no
        regions, which overlap.

    Raises
    ------
    InputError
        `FORMAT_NEEDS_DICOM`, `GEOMETRY_LABEL_GRID`, `LABEL_UNKNOWN_ID`, `CONFIG_BAD_VALUE`.
    """
    check_seg_type(seg_type, metadata)
    segments = segments_of(metadata)
    check_labels(labels, segments)
    with quiet():
        source = read_source(volume, labels)
        seg = _segmentation(on_slices(volume, labels), source, segments, metadata, seg_type)
        _refer_to(seg, source)
        with atomic(path) as part:
            seg.save_as(part, enforce_file_format=True)


def check_seg_type(seg_type: str, metadata: Metadata | None = None) -> None:
    """Refuse a type of segmentation that is not written here, or cannot hold what the bundle gives."""
    if seg_type not in SEG_TYPES:
        raise InputError("CONFIG_BAD_VALUE", f"seg_type {seg_type!r}: {' and '.join(SEG_TYPES)} are known")
    if seg_type == "LABELMAP" and metadata is not None and metadata.regions:
        raise InputError("CONFIG_BAD_VALUE", "seg_type 'LABELMAP' holds no overlapping regions; give 'BINARY'")


def check_labels(labels: np.ndarray, segments: Sequence[Segment]) -> None:
    """Refuse labels that are no unsigned integers, or that the bundle does not know."""
    if labels.dtype.kind != "u":
        raise TypeError(f"labels are {labels.dtype}; unsigned integers are needed")
    unknown = sorted(set(np.unique(labels).tolist()) - {0, *(segment.label for segment in segments)})
    if unknown:
        known = [segment.label for segment in segments]
        raise InputError("LABEL_UNKNOWN_ID", f"labels {unknown} are no segments; the bundle knows {known}")


def _segmentation(
    labels: np.ndarray,
    source: Source,
    segments: Sequence[Segment],
    metadata: Metadata,
    seg_type: str,
) -> highdicom.seg.Segmentation:
    import highdicom

    numbers = np.array([segment.label for segment in segments])
    pixels = np.ascontiguousarray(labels.transpose(2, 1, 0))
    if any(segment.region for segment in segments):
        numbers = np.arange(1, len(segments) + 1)
        pixels = np.stack([region_mask(pixels, segment.ids) for segment in segments], axis=-1).astype(np.uint8)
    elif seg_type == "BINARY":  # its segments are numbered 1, 2, 3 (PS3.3 C.8.20.4)
        lookup = np.zeros(int(numbers.max()) + 1, labels.dtype)
        lookup[numbers] = numbers = np.arange(1, len(segments) + 1)
        pixels = lookup[pixels]
    return highdicom.seg.Segmentation(
        source_images=[_stand_in(source, k) for k in range(len(source.slices))],
        pixel_array=pixels,
        segmentation_type=seg_type,
        segment_descriptions=[_description(s, int(n), metadata) for s, n in zip(segments, numbers, strict=True)],
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        series_description=f"{metadata.name} {metadata.version}"[:64],
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="medseg",
        manufacturer_model_name=metadata.name[:64],
        software_versions=version("medseg"),
        device_serial_number=NO_SERIAL_NUMBER,
        content_label="SEGMENTATION",
        content_description=metadata.task[:64] or None,
        content_qualification="RESEARCH",
        specific_character_set=UTF_8,
    )


def _description(segment: Segment, number: int, metadata: Metadata) -> highdicom.seg.SegmentDescription:
    import highdicom
    from pydicom.sr.codedict import codes

    def code(parts: Sequence[str]) -> highdicom.sr.CodedConcept:
        return highdicom.sr.CodedConcept(*parts)

    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.name,
        segmented_property_category=code(segment.category),
        segmented_property_type=code(segment.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=metadata.name[:64], family=codes.DCM.ArtificialIntelligence, version=metadata.version
        ),
        anatomic_regions=[code(segment.anatomic_region)] if segment.anatomic_region else None,
        display_color=highdicom.color.CIELabColor.from_rgb(*segment.colour_rgb),
    )
    if segment.type_modifier:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [code(segment.type_modifier)]
    return description


def _stand_in(source: Source, k: int) -> Dataset:
    """Return slice `k` as a plain CT image for highdicom, which knows fewer kinds of image than there are.

    A frame of a multi-frame file, with orientation and spacing in its own functional groups, or one of a
    class unknown to highdicom, comes as one like any other; `_refer_to` puts the true references back.
    """
    ds = Dataset()
    ds.update(source.header)
    ds.update(source.image)
    ds.SeriesInstanceUID = source.series_uid
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"1.{k}"
    ds.ImageOrientationPatient = list(source.orientation)
    ds.ImagePositionPatient = list(source.slices[k].position_mm)
    ds.PixelSpacing = list(source.pixel_spacing_mm)
    return ds


def _refer_to(seg: Dataset, source: Source) -> None:
    """Make every reference to a stand-in one to the image it stood for."""
    frames = seg.PerFrameFunctionalGroupsSequence
    items = [item for frame in frames for item in frame.DerivationImageSequence[0].SourceImageSequence]
    for item in {id(item): item for item in items}.values():  # frames of one slice share their item
        k = int(item.ReferencedSOPInstanceUID.removeprefix("1."))
        item.update(source.slices[k].reference())
    items = source.instance_references()
    seg.SourceImageSequence = items
    seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence = items
