"""Reading one DICOM series, medseg beside MONAI's readers and SimpleITK: ``python benchmarks/read_dicom.py``.

A 300-slice 512×512 CT is written to a temporary folder; each reader reads it in turn, several times over, and
the medians are printed with the ratio to medseg's. ``--files`` times ``medseg inspect`` on that many files.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK
from common import machine, medians
from monai.transforms import LoadImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

import medseg
from medseg.read.study import scan


def write_series(folder: Path, slices: int, size: int) -> None:
    """Write a CT series with the header elements that scanners give, private ones among them."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(slices):
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.SpecificCharacterSet, ds.ImageType = "ISO_IR 100", ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = "20260101"
        ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = "120000"
        ds.Modality, ds.Manufacturer, ds.StudyDescription = "CT", "Maker", "Abdomen"
        ds.SeriesDescription, ds.PatientName, ds.PatientID = "Portal venous", "Made^Up", "0"
        ds.PatientBirthDate, ds.PatientSex, ds.PatientPosition = "", "O", "HFS"
        ds.KVP, ds.XRayTubeCurrent, ds.ConvolutionKernel = 120, 200, "B30f"
        ds.SliceThickness, ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 1.0, 2, 1, k + 1
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [-250, -250, -100 + float(k)]
        ds.PixelSpacing, ds.WindowCenter, ds.WindowWidth = [0.7, 0.7], 40, 400
        private = ds.private_block(0x0029, "MEDSEG BENCHMARK", create=True)
        for n in range(40):
            private.add_new(n, "LO", f"value {n}")
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Rows = ds.Columns = size
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = rng.integers(0, 3000, (size, size), dtype="<i2").tobytes()
        pydicom.dcmwrite(folder / f"{k:04}.dcm", ds, enforce_file_format=True)


def sitk_read(folder: Path) -> None:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    SimpleITK.GetArrayFromImage(reader.Execute())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--files", type=int, default=10_000, help="for medseg inspect; 0 leaves it out")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "series"
        write_series(folder, args.slices, args.size)
        readers: dict[str, Callable[[], object]] = {
            "medseg.read_study": lambda: medseg.read_study(folder),
            "MONAI PydicomReader": lambda: LoadImage(reader="PydicomReader")(folder),
            "SimpleITK ImageSeriesReader": lambda: sitk_read(folder),
        }
        if find_spec("itk"):
            readers["MONAI ITKReader"] = lambda: LoadImage(reader="ITKReader")(folder)
        took = medians(readers, args.runs)
        print(f"{args.slices} slices of {args.size}×{args.size}, median of {args.runs} runs in turn")
        print(f"{machine('medseg', 'monai', 'pydicom', 'SimpleITK', 'itk')}\n")
        print("| reader | seconds | times medseg's |\n|---|---|---|")
        for name, time_s in took.items():
            print(f"| {name} | {time_s:.2f} | {time_s / took['medseg.read_study']:.1f} |")
        if args.files:
            many = Path(temporary) / "many"
            write_series(many, args.files, 8)
            took = medians({"scan": lambda: scan(many)}, 1, warm_ups=0)
            print(f"\nheaders of {args.files} files, as `medseg inspect` reads them: {took['scan']:.1f} s")


if __name__ == "__main__":
    main()
