"""The report: its numbers are those of the files, names are text, and nothing leaves the page."""

import base64
import csv
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from oracles.report_cases import HOSTILE, NAMES, judge_one, judge_two
from PIL import Image
from project import ROOT

from medseg.report.page import file_name, worst_first

MAIN = ("dice", "hd95_mm", "nsd")


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    return judge_one(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    return judge_two(tmp_path_factory.mktemp("two"))


class Reader(HTMLParser):
    """What a page holds: numbers with their place, tags, and the text of each section outside numbers."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.numbers: list[tuple[dict, str]] = []
        self.tags: list[tuple[str, dict]] = []
        self.text: dict[str, str] = {}
        self.section, self.number, self.within = "", None, ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.within = tag
        if tag == "section":
            self.section = attrs["id"]
        if "data-path" in attrs or "data-case" in attrs:
            self.number = attrs
            self.numbers.append((attrs, ""))

    def handle_endtag(self, tag):
        self.within = ""
        if tag in ("data", "span"):
            self.number = None
        if tag in ("section", "header"):
            self.section = ""

    def handle_data(self, data):
        if self.number is not None:
            self.numbers[-1] = (self.number, self.numbers[-1][1] + data)
        elif self.within not in ("script", "style"):
            self.text[self.section] = self.text.get(self.section, "") + data


def leaves(value, path=()):
    """Give the path and value of each number of a summary, and of each None in the place of one."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, (dict, list)):
            yield from leaves(inner, (*path, str(key)))
        elif inner is None or isinstance(inner, (int, float)):
            yield (*path, str(key)), inner


def at(summary, path: str):
    for step in (part.replace("\\.", ".").replace("\\\\", "\\") for part in re.split(r"(?<!\\)\.", path)):
        summary = summary[int(step)] if isinstance(summary, list) else summary[step]
    return summary


def assert_shown(attrs: dict, text: str, value) -> None:
    """Compare a number of the page with the value it stands for: in full, and as it is written."""
    if value is None:
        assert "value" not in attrs
        assert text == "–"
        return
    assert attrs["value"] == json.dumps(value)
    if text.startswith("<"):
        assert value < 0.001
        assert ".p_" in attrs["data-path"]
        return
    digits = len(text.partition(".")[2])
    assert float(text.replace("−", "-")) == float(f"{value:.{digits}f}")
    assert digits >= 2 or value == round(value), "rounded beyond what a reader needs"


@pytest.mark.parametrize("which", ["one", "two"])
def test_every_number_is_that_of_the_files(which, request):
    folder = request.getfixturevalue(which)
    page, summary = Reader(folder / "report.html"), json.loads((folder / "summary.json").read_text())
    with (folder / "cases.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    shown = set()
    for attrs, text in page.numbers:
        if "data-path" in attrs:
            assert_shown(attrs, text, at(summary, attrs["data-path"]))
            shown.add(attrs["data-path"])
            continue
        found = [
            float(row[attrs["data-metric"]])
            for row in rows
            if row["case"] == attrs["data-case"]
            and row.get("model") == attrs.get("data-model")
            and attrs.get("data-label", row["label"]) == row["label"]
            and row[attrs["data-metric"]]
        ]
        assert float(attrs["value"]) == pytest.approx(np.mean(found), abs=1e-12)
        assert_shown(attrs, text, float(attrs["value"]))
        shown.add((attrs["data-case"], attrs.get("data-model")))
    assert {(row["case"], row.get("model")) for row in rows} <= shown
    compared = [summary] if which == "one" else [summary, summary["comparison"]["second"]]
    for entry, prefix in zip(compared, ("", "comparison.second."), strict=False):
        numbers = {"labels": entry["labels"], "mean": entry["mean"]}
        nowhere = [("labels", "5", "n"), ("labels", "5", "n_excluded")]  # told in words
        wanted = {
            prefix + ".".join(path) for path, value in leaves(numbers) if value is not None and path not in nowhere
        }
        assert len(wanted) > 200
        assert wanted <= shown, "a number of the summary is not in the report"
    paths = [attrs.get("data-path") for attrs, _ in page.numbers]
    row = [f"labels.1.{m}.{s}" for m in MAIN for s in ("mean", "ci95.0", "ci95.1", "median", "sd")]
    start = paths.index("labels.1.n_excluded", paths.index("mean.dice.sd"))
    assert paths[start + 1 : start + 1 + len(row)] == row, "the numbers are in the order of their columns"
    if which == "two":
        wanted = [
            f"comparison.difference.labels.{i}.{m}.{s}"
            for i in (1, 2)
            for m in MAIN
            for s in ("mean", "ci95.0", "ci95.1", "p_wilcoxon", "p_holm", "n")
        ]
        assert set(wanted) <= shown
    for section in ("", "findings", "summary", "comparison", "groups", "cases"):
        loose = re.sub(r"95\s%", "", page.text.get(section, ""))
        for name in (*NAMES.values(), *(row["case"] for row in rows), "0.5<T", "1.5<T", "HD95", HOSTILE):
            loose = loose.replace(name, "")
        loose = re.sub(r"medseg \S+|Pictures are below.*", "", loose)
        assert not re.search(r"\d\.\d", loose), f"{section}: a number that is in no file"


def test_the_definition_of_hd95_stands_beside_its_numbers(one):
    page = (one / "report.html").read_text()
    assert re.search(r"HD95 \(mm\)<span class=\"sub\">lower is better; directed-max", page)


def test_nothing_is_fetched_and_nothing_may_be(one, two):
    for folder in (one, two):
        text = (folder / "report.html").read_text()
        assert "//" not in re.sub(
            r"(?m)^\s*//.*$|\s// .*$", "", re.sub(r"base64,[^\"]*|<script type=\"text/plain\".*", "", text)
        )
        page = Reader(folder / "report.html")
        for tag, attrs in page.tags:
            for key in ("src", "href", "action", "srcset", "data", "poster", "xlink:href"):
                assert attrs.get(key, "#").startswith(("#", "data:")), (tag, attrs)
            assert not [key for key in attrs if key.startswith("on")], (tag, attrs)
        (policy,) = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
        assert policy.startswith(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
        )


def test_names_are_text_whatever_they_hold(one):
    page = Reader(one / "report.html")
    scripts = [attrs.get("type", "code") for tag, attrs in page.tags if tag == "script"]
    assert sorted(scripts) == ["application/json", "code", "code", *["text/plain"] * 5]
    assert HOSTILE in page.text["cases"]
    assert NAMES[2] in page.text["summary"]
    assert 'a "<i>' in page.text["groups"]
    assert not {"b", "i", "t"} & {tag for tag, _ in page.tags}


def test_findings_name_what_was_missed_and_what_is_nowhere(one):
    text = " ".join(Reader(one / "report.html").text["findings"].split())
    assert f"Missed altogether: {NAMES[2]} in {HOSTILE}." in text
    assert "nowhere" in text


def test_pictures_are_beside_the_report_and_in_it(one, two):
    names = sorted(path.name for path in (one / "overlays").iterdir())
    assert [name[:8] for name in names] == ["worst_1_", "worst_2_", "worst_3_"]
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)
    for folder, expected in ((one, 5), (two, 16)):
        tags = [attrs for tag, attrs in Reader(folder / "report.html").tags if tag == "img"]
        assert len(tags) == expected
        assert all(attrs["alt"] for attrs in tags)
        for attrs in tags:
            drawn = Image.open(io.BytesIO(base64.b64decode(attrs["src"].partition(",")[2])))
            assert drawn.size == (int(attrs["width"]), int(attrs["height"]))
            assert len(np.unique(np.asarray(drawn))) > 3


def test_the_same_evaluation_gives_the_same_bytes(one, tmp_path):
    assert (judge_one(tmp_path) / "report.html").read_bytes() == (one / "report.html").read_bytes()


def test_file_names_are_plain():
    assert file_name(HOSTILE) == "_script_document.title_taken_script_"
    assert file_name("../" * 3) == ".._.._.._"
    assert len(file_name("ä" * 300)) == 100
    assert file_name("肝" * 300) == "肝" * 66  # 198 bytes


def test_an_installed_package_has_the_template(tmp_path):
    """`pip install .` copies what setuptools builds; an editable one would hide a file that is missing."""
    pytest.importorskip("setuptools", "77", reason="no setuptools to build with")
    code = f"import setuptools.build_meta as b; b.build_wheel({str(tmp_path)!r})"
    source = tmp_path / "source"
    shutil.copytree(ROOT / "medseg", source / "medseg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    folder = ROOT / "medseg" / "report" / "template"
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {f"medseg/report/template/{path.name}" for path in folder.iterdir()} <= packed


def test_the_worst_case_comes_first_and_one_without_a_value_last():
    scores = {"a": (0.9, 0.7), "b": (0.1, None), "c": (None, None), "d": (0.5, 0.3)}
    rows = [
        {"case": case, "label": i, "name": str(i), "dice": value, "hd95_mm": value and 10 * value}
        for case, values in scores.items()
        for i, value in enumerate(values, start=1)
    ]
    cases = [{"id": case} for case in scores]
    listed = worst_first(cases, rows, [None], ["dice", "hd95_mm"])
    assert [case["id"] for case in listed] == ["b", "d", "a", "c"]
    assert listed[1]["models"][None]["worst"]["label"] == 2
    assert listed[2]["models"][None]["means"]["dice"] == pytest.approx(0.8)
    assert listed[3]["models"][None] == {"means": {"dice": None, "hd95_mm": None}, "worst": None}
    by_distance = worst_first(cases, rows, [None], ["hd95_mm"])
    assert [case["id"] for case in by_distance] == ["a", "d", "b", "c"]
