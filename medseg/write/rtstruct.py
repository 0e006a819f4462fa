"""Label maps as DICOM RT Structure Set (PS3.3 A.19): outlines on the source slices, for treatment planning.

Contours lose what voxels hold. An outline runs half way between voxels and cuts their corners, so that the
area it encloses is smaller (a lone voxel becomes a diamond of half its area); nothing says how thick a slice
is or what lies between two. Voxel centres keep their side, so filling the outlines on the same grid gives the
same label map. Where a result is to be measured or used further, write NIfTI or DICOM SEG.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from medseg.bundle import ANATOMICAL_STRUCTURE, Metadata, Segment, segments_of
from medseg.cases import region_mask
from medseg.files import atomic
from medseg.read import Volume, quiet
from medseg.write.contours import outlines
from medseg.write.dicom_seg import check_labels
from medseg.write.dicom_source import Source, on_slices, read_source

SERIES_NUMBER = 902  # after the scanner's own and the SEG's
DECIMALS = 4  # of mm: below any scanner's, and within the 16 characters of a DS
STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, which the referenced study is said to be


def write_rtstruct(path: str | Path, labels: np.ndarray, volume: Volume, metadata: Metadata) -> None:
    """Write the outlines of a label map as RTSTRUCT, one ROI a label, also where nothing has it.

    Parameters
    ----------
    labels
        Unsigned integers (I, J, K), the grid of `volume`.
    volume, metadata
        As for `medseg.write.write_dicom_seg`.

    Raises
    ------
    InputError
        `FORMAT_NEEDS_DICOM`, `GEOMETRY_LABEL_GRID`, `LABEL_UNKNOWN_ID`, `CONFIG_BAD_VALUE`.
    """
    segments = segments_of(metadata)
    check_labels(labels, segments)
    with quiet():
        source = read_source(volume, labels)
        labels = on_slices(volume, labels)
        ds = _structure_set(source, metadata)
        ds.StructureSetROISequence = [_roi(source, segment, metadata) for segment in segments]
        ds.ROIContourSequence = [_contours(source, segment, labels) for segment in segments]
        ds.RTROIObservationsSequence = [_observation(segment) for segment in segments]
        with atomic(path) as part:
            ds.save_as(part, enforce_file_format=True)


def _structure_set(source: Source, metadata: Metadata) -> Dataset:
    now = datetime.now()
    ds = Dataset()
    ds.update(source.header)
    ds.file_meta = FileMetaDataset()
    # implicit, for a long contour's text does not fit into the two bytes that give its length elsewhere
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    ds.InstanceCreationDate = ds.StructureSetDate = now.strftime("%Y%m%d")
    ds.InstanceCreationTime = ds.StructureSetTime = now.strftime("%H%M%S")
    ds.Modality, ds.SeriesInstanceUID, ds.SeriesNumber = "RTSTRUCT", generate_uid(), SERIES_NUMBER
    ds.SeriesDescription = _made_by(metadata)[:64]
    ds.OperatorsName = None
    ds.Manufacturer, ds.ManufacturerModelName = "medseg", metadata.name[:64]
    ds.SoftwareVersions = version("medseg")
    ds.StructureSetLabel, ds.StructureSetName = "medseg", _made_by(metadata)[:64]
    ds.InstanceNumber = 1
    ds.ApprovalStatus = "UNAPPROVED"
    ds.ReferencedFrameOfReferenceSequence = [_referenced_frame(source)]
    return ds


def _referenced_frame(source: Source) -> Dataset:
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = source.series_uid
    series.ContourImageSequence = [piece.reference() for piece in source.slices]
    study.ReferencedSOPClassUID = STUDY_CLASS
    study.ReferencedSOPInstanceUID = source.header.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = source.header.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _roi(source: Source, segment: Segment, metadata: Metadata) -> Dataset:
    roi = Dataset()
    roi.ROINumber = segment.label
    roi.ReferencedFrameOfReferenceUID = source.header.FrameOfReferenceUID
    roi.ROIName = segment.name
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = _made_by(metadata)[:64]
    return roi


def _contours(source: Source, segment: Segment, labels: np.ndarray) -> Dataset:
    roi = Dataset()
    roi.ReferencedROINumber = segment.label
    roi.ROIDisplayColor = list(segment.colour_rgb)
    contours = [
        _contour(source, k, polygon)
        for k in range(labels.shape[2])
        for polygon in outlines(region_mask(labels[:, :, k], segment.ids))
    ]
    if contours:
        roi.ContourSequence = contours
    return roi


def _contour(source: Source, k: int, polygon: np.ndarray) -> Dataset:
    points = np.round(source.to_lps_mm(k, polygon), DECIMALS) + 0.0  # no minus before a zero
    contour = Dataset()
    contour.ContourImageSequence = [source.slices[k].reference()]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(points)
    contour.ContourData = [f"{value:.{DECIMALS}f}" for value in points.ravel()]
    return contour


def _observation(segment: Segment) -> Dataset:
    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = segment.label
    observation.RTROIIdentificationCodeSequence = [_code(segment.type)]
    observation.RTROIInterpretedType = "ORGAN" if segment.category == ANATOMICAL_STRUCTURE else None
    observation.ROIInterpreter = None
    return observation


def _code(parts: Sequence[str]) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = parts
    return code


def _made_by(metadata: Metadata) -> str:
    return f"{metadata.name} {metadata.version}"
