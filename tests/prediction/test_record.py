"""Records: what a stage leaves, whatever goes wrong in it, and there and back as JSON."""

import json

from medseg import InputError
from medseg.prediction.record import Record, attempt, begun
from medseg.write import Output

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
        "a", "done", ["IMAGE_CONSTANT"], inputs=["/a"], outputs=outputs, facts={"memory": {"ran_out": 0}}
    )
    again = Record.from_json(json.loads(json.dumps(record.as_json())))
    assert again == record
    assert list(record.as_json())[:8] == [
        *("case", "status", "codes", "message", "inputs", "outputs", "timings_s", "started"),
    ]


def test_what_no_version_wrote_is_no_record():
    for value in (3, None, [], {}, {"case": ["not", "a", "name"]}, {"status": "done"}):
        assert Record.from_json(value) is None
    damaged = Record.from_json({"case": "a", "outputs": [{"path": "a.nii.gz"}], "of a later version": 1})
    assert (damaged.outputs, damaged.facts) == ((), {"of a later version": 1})
