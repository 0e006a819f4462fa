"""Records: what a stage leaves, whatever goes wrong in it, and there and back as JSON."""

import json

import pytest

from medseg import InputError
from medseg.bundle import Metadata
from medseg.prediction.finished import Wanted, finished
from medseg.prediction.manifest import Records, records_in
from medseg.prediction.origin import Origin
from medseg.prediction.outputs import check_outputs, keep_changed, keep_stale
from medseg.prediction.record import Record, attempt, begun
from medseg.read import Selection
from medseg.write import Output, OutputFormats

WANTED = Wanted(Origin(Metadata({"name": "b", "version": "1"}), "m", ("w",), "c"), Selection(), OutputFormats())
CASE = {"id": "case_0", "image": "/data/case_0.nii.gz"}


def generated(text):
    """Code as torch.fx makes it: its globals have no ``__name__``."""
    space = {}
    exec(compile(text, "<eval_with_key>.1", "exec"), space)
    space.pop("__name__", None)
    return space["forward"]


def test_whatever_goes_wrong_is_recorded_and_nothing_is_raised():
    ring = [ValueError("Secret^Patient"), KeyError("Secret^Patient")]
    ring[0].__context__, ring[1].__context__ = ring[1], ring[0]
    forward = generated("def forward(error):\n    raise error")
    found = {
        "RuntimeError at generated code:2": RuntimeError("Secret^Patient"),
        "KeyError at generated code:2": ring[0],  # of a ring, the last that is not the first again
        "empty": InputError("IMAGE_EMPTY", "empty"),
    }
    for message, error in found.items():
        record, result = attempt(begun(CASE), "infer", forward, error)
        assert (record.status, result) == ("failed", None)
        assert record.message.startswith(message)
        assert "Secret" not in record.message
        assert set(record.timings_s) == {"infer"}


def test_a_record_comes_back_from_its_line():
    outputs = (Output("a.nii.gz", "nifti", "0" * 64), Output("a.seg.dcm", "dicom-seg", "1" * 64, "BINARY"))
    record = Record(
        "a", "done", ("IMAGE_CONSTANT",), inputs=("/a",), outputs=outputs, facts={"memory": {"ran_out": 0}}
    )
    again = Record.from_json(json.loads(json.dumps(record.as_json())))
    assert again == record
    assert list(record.as_json())[:9] == [
        *("case", "status", "codes", "message", "inputs", "input", "outputs", "timings_s", "started"),
    ]


def test_what_no_version_wrote_is_no_record():
    for value in (3, None, [], {}, {"case": ["not", "a", "name"]}, {"status": "done"}):
        assert Record.from_json(value) is None
    damaged = Record.from_json({"case": "a", "outputs": [{"path": "a.nii.gz"}], "of a later version": 1})
    assert (damaged.outputs, damaged.facts) == ((), {"of a later version": 1})
    newer = {"path": "a.nii.gz", "format": "nifti", "sha256": "0", "of a later version": 1}
    assert Record.from_json({"case": "a", "outputs": [newer]}).outputs == (Output("a.nii.gz", "nifti", "0"),)


@pytest.mark.parametrize("odd", [5, None, [], {}, "text", [5], [{"path": 5}], [{"path": "a", "format": []}]])
@pytest.mark.parametrize("key", ["inputs", "input", "outputs", "codes", "status", "bundle", "select", "timings_s"])
def test_a_record_of_odd_types_is_not_done_and_harms_nothing(tmp_path, key, odd):
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"case": "case_0", "status": "done", key: odd}) + "\n")
    assert finished([CASE], tmp_path, WANTED) == {}
    (tmp_path / "case_0.nii.gz").write_bytes(b"a stranger's")
    with pytest.raises(InputError, match="OUTPUT_WOULD_OVERWRITE"):
        check_outputs([CASE], tmp_path, ["nifti"])
    earlier = Records(tmp_path).of("case_0")
    assert keep_stale(tmp_path, begun(CASE), earlier) == ()
    assert keep_changed(tmp_path, "case_0", ["nifti"], earlier) == ("OUTPUT_KEPT",)


def test_brackets_without_end_are_no_record(tmp_path):
    (tmp_path / "manifest.jsonl").write_text("[" * 100_000 + '\n{"case": "a"}\n')
    assert [record.case for record in records_in(tmp_path)] == ["a"]
