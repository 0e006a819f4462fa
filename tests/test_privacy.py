"""No patient data leaves the DICOM header but into the DICOM objects that belong to the patient."""

import contextlib
import io
import json
import logging
import shutil
import traceback
import warnings

import pydicom
import pytest
from project import BUNDLES, SAMPLES, medseg

from medseg import InputError, inspect, predict, read_study, read_volume
from medseg.evaluation.run import evaluate_cases
from medseg.read.study import scan

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
TEXTS = {  # where an identifier may stand, each with a word of its own
    "PatientName": "Zebedaeus^Quillfeather",
    "PatientID": "QX-771-ZZ",
    "PatientBirthDate": "19031217",
    "PatientBirthName": "Oldmaidenname",
    "PatientMotherBirthName": "Mothermaiden",
    "OtherPatientNames": "Otheralias^Nom",
    "PatientAddress": "17 Elderberry Crescent",
    "PatientTelephoneNumbers": "+49-555-0199",
    "PatientComments": "Commentsecret",
    "PatientReligiousPreference": "Faithsecret",
    "CountryOfResidence": "Landsecret",
    "MilitaryRank": "Ranksecret",
    "Occupation": "Jobsecret",
    "EthnicGroup": "Ethnosecret",
    "AdditionalPatientHistory": "Historysecret",
    "ReferringPhysicianName": "Doctorsecret^Ref",
    "PerformingPhysicianName": "Performsecret^Doc",
    "OperatorsName": "Operatorsecret^Op",
    "RequestingPhysician": "Requestsecret^Doc",
    "InstitutionName": "Hospitalsecret",
    "InstitutionAddress": "Streetsecret 5",
    "InstitutionalDepartmentName": "Wardsecret",
    "StationName": "Stationsecret",
    "AccessionNumber": "ACC-9918273",
    "StudyID": "STUDYIDSECRET",
    "StudyDescription": "Studytextsecret",
    "SeriesDescription": "Seriestextsecret",
    "ProtocolName": "Protocolsecret",
    "ImageComments": "Imagesecret",
    "RequestedProcedureDescription": "Proceduresecret",
    "StudyDate": "19640229",
    "SeriesDate": "19640301",
    "AcquisitionDate": "19640302",
    "ContentDate": "19640303",
    "DeviceSerialNumber": "SERIALSECRET",
    "StudyComments": "Studycommentsecret",
    "CurrentPatientLocation": "/srv/pacs/room/secretpath",
    "RetrieveURL": "file:///srv/pacs/secreturl",
}
PRIVATE = ("Privatesecret one", "C:\\pacs\\secretfile.ima")


@pytest.fixture
def planted(tmp_path):
    """A readable MR series with 40 identifiers in its headers."""
    folder = tmp_path / "in" / "case"
    shutil.copytree(SAMPLES / "mr_held_back/images/mr_19", folder)
    for file in folder.iterdir():
        ds = pydicom.dcmread(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for keyword, text in TEXTS.items():
                setattr(ds, keyword, text)
        block = ds.private_block(0x0029, "SECRETMAKER", create=True)
        for n, text in enumerate(PRIVATE):
            block.add_new(n, "LO", text.replace("\\", "/"))
        ds.save_as(file)
    assert len(TEXTS) + len(PRIVATE) == 40
    return folder


def secrets() -> set[str]:
    words = {part for text in TEXTS.values() for part in text.replace("=", "^").split("^") if len(part) > 3}
    return words | {text.replace("\\", "/") for text in PRIVATE}


def found_in(text: str) -> set[str]:
    return {secret for secret in secrets() if secret.casefold() in text.casefold()}


def break_headers(folder, **raw):
    """Write texts where numbers belong, so that parsers quote them in what they raise and log."""
    with pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file in folder.iterdir():
            ds = pydicom.dcmread(file)
            for keyword, value in raw.items():
                vr = pydicom.datadict.dictionary_VR(keyword)
                ds[keyword] = pydicom.dataelem.RawDataElement(
                    pydicom.tag.Tag(keyword), vr, len(value), value, 0, False, True
                )
            ds.save_as(file)


@pytest.fixture
def listening():
    """Everything logged, warned and printed while it is open."""
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.root.addHandler(handler)
    level = logging.root.level
    logging.root.setLevel(logging.DEBUG)
    with warnings.catch_warnings(), contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: heard.write(f"{message}\n")
        yield heard
    logging.root.removeHandler(handler)
    logging.root.setLevel(level)


def test_nothing_is_said_of_a_good_study(planted, listening):
    for finding in scan(planted):
        listening.write(repr(finding))
    for volume in read_study(planted):
        listening.write(repr(volume.codes) + repr(volume.source))
    listening.write(json.dumps(inspect(planted, voxels=True)))
    assert found_in(listening.getvalue()) == set()


@pytest.mark.parametrize(
    "raw",
    [
        {"ImagePositionPatient": b"Zebedaeus\\Quillfeather\\QX-771-ZZ "},
        {"PixelSpacing": b"Oldmaidenname "},
        {"RescaleSlope": b"QX-771-ZZ "},
        {"NumberOfFrames": b"Jobsecret "},
        {"PhotometricInterpretation": b"FAITHSECRET "},
        {"SeriesInstanceUID": b"1.2.Zebedaeus "},
        {"SOPClassUID": b"Hospitalsecret"},
        {"SpecificCharacterSet": b"Commentsecret "},
    ],
    ids=lambda raw: next(iter(raw)),
)
def test_errors_do_not_quote_the_header(planted, listening, raw):
    break_headers(planted, **raw)
    listening.truncate(0)  # what pydicom said to this test while the headers were being broken
    for read in (read_study, read_volume, inspect):
        try:
            read(planted)
        except InputError:
            listening.write(traceback.format_exc())
    done = medseg("inspect", planted, check=False)
    listening.write(done.stdout + done.stderr)
    # `inspect` shows, to know a series by, its UID, number and description
    shown = {TEXTS["SeriesDescription"], *({"Zebedaeus"} if "SeriesInstanceUID" in raw else ())}
    assert found_in(listening.getvalue()) <= shown


def test_nothing_is_written_but_into_the_patient_s_own_objects(planted, tmp_path, listening, weights):
    broken = tmp_path / "in" / "broken"
    shutil.copytree(planted, broken)
    break_headers(broken, PixelSpacing=b"Zebedaeus ")
    listening.truncate(0)
    records = predict(
        BUNDLE,
        tmp_path / "in",
        tmp_path / "out",
        weights=weights,
        device="cpu",
        formats=["nifti", "dicom-seg", "rtstruct"],
    )
    assert {record["case"]: record["status"] for record in records} == {"case": "done", "broken": "failed"}
    case = {"id": "case", "image": str(planted), "label": str(tmp_path / "out/case.nii.gz")}
    evaluate_cases([{**case, "prediction": case["label"]}], tmp_path / "evaluation", names={1: "a", 2: "b"})
    written = [
        path for folder in ("out", "evaluation") for path in (tmp_path / folder).rglob("*") if path.is_file()
    ]
    assert {path.name for path in written} >= {"case.nii.gz", "case.seg.dcm", "manifest.jsonl", "summary.json"}
    for path in written:
        listening.write(path.name)
        if not path.name.endswith(".dcm"):
            listening.write(path.read_bytes().decode("latin-1"))
    assert found_in(listening.getvalue()) == set()


def test_no_picture_of_an_image_with_text_burned_in(planted, tmp_path):
    label = SAMPLES / "mr_held_back/labels/mr_19.nii.gz"
    case = {"id": "case", "image": str(planted), "label": str(label), "prediction": str(label)}
    evaluate_cases([case], tmp_path / "shown", names={1: "a", 2: "b"})
    assert list((tmp_path / "shown/overlays").iterdir())
    for file in planted.iterdir():
        ds = pydicom.dcmread(file)
        ds.BurnedInAnnotation = "YES"
        ds.save_as(file)
    evaluate_cases([case], tmp_path / "hidden", names={1: "a", 2: "b"})
    del case["image"]
    evaluate_cases([case], tmp_path / "without", names={1: "a", 2: "b"})
    files = [path.relative_to(tmp_path / "without") for path in (tmp_path / "without").rglob("*.*")]
    assert {path.suffix for path in files} == {".csv", ".html", ".json", ".png"}
    for name in files:  # the outlines alone, as if there were no image
        assert (tmp_path / "hidden" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
    for name in (name for name in files if name.suffix in (".html", ".png")):
        assert (tmp_path / "hidden" / name).read_bytes() != (tmp_path / "shown" / name).read_bytes()
