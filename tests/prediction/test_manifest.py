"""The manifest: a line an attempt, whole or no record, also where many write at once."""

import json
import os
import subprocess
import sys

from medseg.files import append_line
from medseg.prediction.manifest import read_newest


def test_the_newest_record_counts_and_a_cut_off_line_is_none(tmp_path):
    manifest = tmp_path / "manifest.jsonl"
    append_line(manifest, {"case": "case_0", "status": "done"})
    append_line(manifest, {"case": "case_1", "status": "done"})
    append_line(manifest, {"case": "case_1", "status": "failed"})
    with manifest.open("ab") as stream:
        stream.write(b'{"case": "case_2", "status": "do')
    append_line(manifest, {"case": ["not", "a", "name"]})
    append_line(manifest, 3)
    append_line(manifest, {"case": "case_3", "status": "done"})
    found = {name: record.status for name, record in read_newest(tmp_path).items()}
    assert found == {"case_0": "done", "case_1": "failed", "case_3": "done"}


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
