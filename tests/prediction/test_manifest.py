"""The manifest: what is done, whose case it is, and lines that many write at once."""

import json
import os
import subprocess
import sys

import pytest
from project import BUNDLES, SAMPLES, medseg, run

from medseg import InputError, predict
from medseg.files import append_line, sha256_of
from medseg.prediction.finished import _is_known, records_if_finished
from medseg.prediction.manifest import begun, failures_in, finished, is_done, read_newest, share

BUNDLE = BUNDLES / "hippocampus_mr_unet3d"
CASES = [{"id": f"case_{n}", "image": f"/data/case_{n}.nii.gz"} for n in range(101)]
WANT = {"bundle": {"name": "b"}, "select": {}, "formats": ("nifti",), "seg_type": "BINARY"}


@pytest.mark.parametrize("count", [1, 2, 7, 200])
def test_shards_are_disjoint_and_all_there_is(count):
    parts = [share(CASES, f"{n}/{count}") for n in range(1, count + 1)]
    assert sorted(case["id"] for part in parts for case in part) == sorted(case["id"] for case in CASES)
    half = CASES[::2]
    assert [share(half, f"{n}/{count}") for n in range(1, count + 1)] == [
        [case for case in part if case in half] for part in parts
    ]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_shard_is_i_of_n(shard):
    with pytest.raises(InputError, match="CONFIG_BAD_VALUE"):
        share(CASES, shard)


def test_two_cases_of_one_name_are_refused():
    with pytest.raises(InputError, match="CASES_DUPLICATE_ID"):
        share([CASES[0], {"id": "case_0", "image": "/elsewhere/case_0.nii"}])


def done_record(folder, case):
    path = folder / f"{case['id']}.nii.gz"
    path.write_bytes(case["id"].encode())
    outputs = [{"path": path.name, "format": "nifti", "sha256": sha256_of(path)}]
    return {**begun(case), "status": "done", "outputs": outputs, "bundle": WANT["bundle"], "select": {}}


def test_the_newest_record_counts_and_a_cut_off_line_is_none(tmp_path):
    manifest = tmp_path / "manifest.jsonl"
    first = done_record(tmp_path, CASES[0])
    append_line(manifest, first)
    append_line(manifest, {**done_record(tmp_path, CASES[1]), "status": "failed"})
    with manifest.open("ab") as stream:
        stream.write(b'{"case": "case_2", "status": "do')
    append_line(manifest, {"case": ["not", "a", "name"]})
    append_line(manifest, 3)
    append_line(manifest, done_record(tmp_path, CASES[3]))
    assert set(read_newest(tmp_path)) == {"case_0", "case_1", "case_3"}
    assert set(finished(CASES, tmp_path, WANT)) == {"case_0", "case_3"}


def test_done_means_this_input_this_model_and_whole_outputs(tmp_path):
    record = done_record(tmp_path, CASES[0])
    assert is_done(CASES[0], record, tmp_path, WANT)
    changes = {"bundle": {"name": "c"}, "select": {"modality": "MR"}, "formats": ("rtstruct",)}
    others = [{**WANT, key: value} for key, value in changes.items()]
    assert not any(is_done(CASES[0], record, tmp_path, want) for want in others)
    assert not is_done({**CASES[0], "image": "/elsewhere"}, record, tmp_path, WANT)
    assert not is_done(CASES[0], {"case": "case_0"}, tmp_path, WANT)
    (tmp_path / "case_0.nii.gz").write_bytes(b"damaged")
    assert not is_done(CASES[0], record, tmp_path, WANT)


def test_a_name_that_is_no_utf_8_is_recorded(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    append_line(tmp_path / "manifest.jsonl", {"case": name})
    assert list(read_newest(tmp_path)) == [name]


def test_lines_of_many_processes_do_not_mix(tmp_path):
    script = (
        "import sys; from medseg.files import append_line\n"
        "for n in range(60): append_line(sys.argv[1], {'case': sys.argv[2] + str(n), 'text': sys.argv[2] * 20000})"
    )
    line = [sys.executable, "-c", script, tmp_path / "manifest.jsonl"]
    writers = [subprocess.Popen([*line, letter]) for letter in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    lines = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert len({json.loads(line)["case"] for line in lines}) == len(lines) == 240


@pytest.mark.parametrize("name", sorted(path.name for path in BUNDLES.iterdir()))
def test_every_bundle_s_config_can_be_told_without_monai(name):
    assert _is_known(json.loads((BUNDLES / name / "configs/inference.json").read_text()))


def test_a_finished_folder_is_opened_without_monai(weights, tmp_path):
    data, out = SAMPLES / "mr/images/mr_00.nii.gz", tmp_path / "out"
    how = {"weights": weights, "device": "cpu"}
    first = predict(BUNDLE, data, out, **how)
    values = {"dataset_dir": str(data), "output_dir": str(out), "weights": str(weights), "device": "cpu"}
    assert records_if_finished(BUNDLE, values) == first
    for change in (
        {"jobs": 0},
        {"device": "cuda:99"},
        {"no_such_key": 1},
        {"precision": "float8"},
        {"series_uid": "$medseg"},
        {"weights": str(tmp_path / "missing.pt")},
        {"formats": ["nifti", "rtstruct"]},
        {"modality": "CT"},
        {"output_dir": str(tmp_path)},
    ):
        assert records_if_finished(BUNDLE, {**values, **change}) is None
    wrong = {"shard": ("2/1", "CONFIG"), "formats": (["png"], "CONFIG"), "dataset_dir": ("no", "FILE")}
    for key, (value, code) in wrong.items():
        with pytest.raises(InputError, match=code):
            records_if_finished(BUNDLE, {**values, key: value})
    run("-c", f"import sys, medseg; medseg.predict({str(BUNDLE)!r}, {str(data)!r}, {str(out)!r}, "
        f"weights={str(weights)!r}); assert not {{'torch', 'monai'}} & set(sys.modules)")  # fmt: skip
    shown = medseg("predict", BUNDLE, data, out, "--weights", weights).stdout
    assert "1 of 1 cases done" in shown
    (out / "mr_00.nii.gz").write_bytes(b"damaged")
    assert records_if_finished(BUNDLE, values) is None


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
        record = begun(CASES[0])
        with failures_in(record):
            forward(error)
        assert record["status"] == "failed"
        assert record["message"].startswith(message)
        assert "Secret" not in record["message"]
