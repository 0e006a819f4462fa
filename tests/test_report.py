"""The report: its numbers are those of the files, nothing leaves the page, and a browser shows it well."""

import base64
import csv
import html
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import browser
import nibabel
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from medseg import pictures
from medseg.evaluation import evaluate_cases
from medseg.report import distributions, evidence, file_name, worst_first
from medseg.report.evidence import gather, pack, strides
from medseg.scenes import Views, prepare

HOSTILE = '<script>document.title="taken"</script>"&\''
NAMES = {1: "liver", 2: '<b>"vein" & artery</b>', 5: "nowhere"}
LETTERS = {
    "axial": "RLAP",
    "coronal": "RLSI",
    "sagittal": "APSI",
}  # left, right, top, bottom: as radiologists look
MAIN = ("dice", "hd95_mm", "nsd")
SHAPE, SPACING_MM = (16, 14, 12), (1.0, 1.5, 2.0)
AFFINE = np.diag([*SPACING_MM, 1.0])


def volumes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    reference = np.zeros(SHAPE, np.uint8)
    reference[3:9, 3:9, 3:8], reference[9:13, 4:10, 4:9] = 1, 2
    ours = np.roll(reference, rng.integers(-2, 3, 3), (0, 1, 2))
    theirs = np.roll(reference, rng.integers(-1, 2, 3), (0, 1, 2))
    if seed == 0:
        ours[ours == 2] = 0  # missed
    return reference, ours, theirs


def judge(folder: Path, ids: list[str], *, second: bool = False, image: bool = True, **how) -> Path:
    cases = []
    for seed, name in enumerate(ids):
        case = {"id": name}
        maps = dict(zip(("label", "prediction", "second"), volumes(seed), strict=True))
        if image:
            noise = np.random.default_rng(seed).normal(0, 8, SHAPE)
            maps["image"] = (100 + 60 * (maps["label"] > 0) + noise).astype(np.float32)
        for key, array in maps.items():
            if key == "second" and not second:
                continue
            path = folder / f"{key}_maps" / f"{seed}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, AFFINE), path)
            case[key] = str(path)
        cases.append(case)
    without = ((),) * (1 + second)
    evaluate_cases(cases, folder / "out", names=NAMES, without_prediction=without, **how)
    return folder / "out"


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    """The report of one model, with hostile names and subgroups."""
    folder = tmp_path_factory.mktemp("one")
    ids = [HOSTILE, "case two", "c/3", "fourth", "fifth"]
    with (folder / "groups.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["case", 'a "<i>'], *[[name, f"{i % 2}.5<T"] for i, name in enumerate(ids)]])
    return judge(folder, ids, groups=folder / "groups.csv")


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """The report of two models, without images."""
    return judge(tmp_path_factory.mktemp("two"), [f"case {i}" for i in range(8)], second=True, image=False)


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
    again = judge(tmp_path, [HOSTILE, "case two", "c/3", "fourth", "fifth"], groups=one.parent / "groups.csv")
    assert (again / "report.html").read_bytes() == (one / "report.html").read_bytes()


# In a browser


def rows_of_colour(screen: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((screen == colour).all(axis=2).any(axis=1).sum())


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Return the relative luminance of sRGB pixels (WCAG 2.2)."""
    part = pixels / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.fixture(scope="module")
def light(one) -> browser.Page:
    return browser.look(one / "report.html", size=(1280, 4600))


@pytest.fixture(scope="module")
def dark(one) -> browser.Page:
    return browser.look(one / "report.html", size=(1280, 4600), dark=True)


def test_a_browser_shows_the_report_and_complains_of_nothing(light, dark):
    for page in (light, dark):
        assert page.console == ()
        title = re.search(r"<title>(.*?)</title>", page.dom)[1]
        assert title.startswith("prediction_maps")
        for text in ("What stands out", "Mean over labels", "directed-max", "Cases, worst first", "SHA-256"):
            assert text in page.dom
        for colour in (pictures.REFERENCE, pictures.PREDICTION):
            assert rows_of_colour(page.screen, colour) > 300, "the pictures of five cases are there"
        assert 'hidden=""' not in re.search(r'<form class="tools.*?>', page.dom)[0], "scripts ran"
        assert page.dom.count('aria-label="Dice of') == 2, "a label without values has no strip"


def test_both_themes_can_be_read(light, dark):
    ground = []
    for page in (light, dark):
        brightness = luminance(page.screen[:1000].reshape(-1, 3))
        values, counts = np.unique(brightness, return_counts=True)
        back = values[np.argmax(counts)]
        text = brightness.min() if back > 0.5 else brightness.max()
        low, high = sorted((back, text))
        assert (high + 0.05) / (low + 0.05) > 7, "text stands out from its ground (WCAG's AAA)"
        assert 0.01 < (np.abs(brightness - back) > 0.2).mean() < 0.3, "there is text, and space around it"
        ground.append(back)
    assert ground[0] > 0.8
    assert ground[1] < 0.05


def test_nothing_is_wider_than_a_telephone(one):
    page = browser.look(one / "report.html", size=(500, 3000))
    assert page.console == ()
    edge = page.screen[:, -6:].reshape(-1, 3)
    assert (edge == page.screen[5, -1]).all(axis=1).mean() > 0.9, "the right edge is left free"


@pytest.mark.parametrize(("axis", "model"), [("axial", 0), ("sagittal", 0), ("coronal", 1)])
def test_scrolling_shows_each_voxel_as_it_is(two, axis, model):
    """Decompression, axes and colours are right: each voxel's centre has the fill that the files ask for."""
    reference, ours, theirs = volumes(3)
    scene = prepare(Views(None, reference, ours, AFFINE, second=theirs))
    cut = {"axial": 2, "coronal": 1, "sagittal": 0}[axis]
    others = tuple(a for a in range(3) if a != cut)
    k = int(np.argmax((scene.predictions[model] != scene.reference).sum(axis=others)))
    page = browser.look(two / "report.html", at=f"#case=case+3&axis={axis}&slice={k + 1}&model={model + 1}")
    assert page.console == ()
    assert re.search(r'<dialog[^>]* open=""', page.dom)
    assert f"slice {k + 1} of {scene.reference.shape[cut]}" in page.dom
    letters = dict(re.findall(r'class="letter (\w+)"[^>]*>(\w)<', page.dom))
    assert "".join(letters[side] for side in ("left", "right", "top", "bottom")) == LETTERS[axis]
    seen, wanted = (np.take(labels, k, cut).T for labels in (scene.predictions[model], scene.reference))
    picture = canvas_of(page.screen)
    y, x = voxel_centres(wanted.shape, picture.shape)
    drawn = picture[np.ix_(y, x)].astype(int)
    kinds = np.select([np.ptp(drawn, axis=2) < 10, drawn[..., 2] > drawn[..., 0] + 20], [0, 1], 2)
    kinds[(kinds == 2) & (drawn[..., 2] > drawn[..., 1])] = 3
    np.testing.assert_array_equal(kinds, np.select([seen == wanted, seen == 0, wanted == 0], [0, 1, 2], 3))
    assert {1, 2} <= set(kinds.ravel())


def test_scrolling_shows_the_image(one):
    """Grey values at the voxels' centres follow the image's; between them the browser interpolates."""
    case = json.loads(re.search(r'id="volumes">(.*?)</script>', (one / "report.html").read_text())[1])["cases"][2]
    text = re.search(r'id="volume-2">\s*(\S+?)\s*</script>', (one / "report.html").read_text())[1]
    image, (reference, prediction) = unpack(text, case)
    page = browser.look(one / "report.html", at=f"#{urlencode({'case': case['id'], 'axis': 'axial', 'slice': 7})}")
    stage = (page.screen > 0).all(axis=2)[
        60:770
    ]  # between the controls all is black but the slice and four letters
    rows, columns = np.flatnonzero(stage.mean(axis=1) > 0.1) + 60, np.flatnonzero(stage.mean(axis=0) > 0.5)
    picture = page.screen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, 0].astype(float)
    y, x = voxel_centres(image[6].shape, picture.shape)
    right = reference[6] == prediction[6]
    drawn, wanted = picture[np.ix_(y, x)][right], image[6][right].astype(float)
    assert np.corrcoef(drawn, wanted)[0, 1] > 0.98
    assert np.abs(drawn - wanted).mean() < 20


CONTROLS = """<script>
const note = (name, text) => { document.body.dataset[name] = text; };
const fire = (element, event) => element.dispatchEvent(event);
const bodies = () => [...document.querySelectorAll(".cases tbody")];
const order = () => bodies().map((body) => body.rows[0].cells[1].textContent);
const where = () => document.getElementById("where").textContent;
const button = document.querySelector('th[data-column="2"] button');
button.click();
note("up", JSON.stringify(order()));
button.click();
note("down", JSON.stringify(order()));
const find = document.getElementById("find");
find.value = "CASE 3";
fire(find, new Event("input"));
note("found", document.querySelectorAll(".cases tbody:not([hidden])").length);
document.getElementById("pictures").click();
note("bare", getComputedStyle(document.querySelector("tr.picture")).display);
location.hash = "#case=case+3&axis=axial&slice=4";
setTimeout(() => {
  note("opened", where());
  fire(document.getElementById("slice"), new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
  fire(document.querySelector(".stage"), new WheelEvent("wheel", { deltaY: 5, cancelable: true }));
  note("moved", where());
  const slider = document.getElementById("position");
  slider.value = 2;
  fire(slider, new Event("input"));
  note("slid", where());
  document.querySelectorAll("[name=layer]").forEach((box) => box.click());
  document.querySelector("[value=sagittal]").click();
  note("address", location.hash);
}, 1500);
</script></body>"""


def test_the_controls_do_what_they_say(two, tmp_path):
    file = tmp_path / "report.html"
    file.write_text((two / "report.html").read_text().replace("</body>", CONTROLS))
    page = browser.look(file)
    assert page.console == ()
    notes = {
        k: html.unescape(v) for k, v in re.findall(r'data-(\w+)="(.*?)"', re.search("<body.*?>", page.dom)[0])
    }
    with (two / "cases.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == "prediction_maps" and row["dice"]]
    cases = sorted({row["case"] for row in rows})
    dice = {case: np.mean([float(row["dice"]) for row in rows if row["case"] == case]) for case in cases}
    up, down = json.loads(notes["up"]), json.loads(notes["down"])
    assert [dice[case] for case in up] == sorted(dice.values())
    assert [dice[case] for case in down] == sorted(dice.values(), reverse=True)
    assert (notes["found"], notes["bare"]) == ("1", "none")
    slices = [re.match(r"slice (\d+)", notes[key])[1] for key in ("opened", "moved", "slid")]
    assert slices == ["4", "6", "2"]
    assert notes["address"].startswith("#case=case+3&axis=sagittal")
    picture = canvas_of(page.screen)
    assert (picture == pictures.NO_IMAGE).all(), "neither contours nor errors are left"


def voxel_centres(voxels: tuple[int, ...], pixels: tuple[int, ...]) -> list[np.ndarray]:
    """Return the pixel rows and columns in which the voxels of a slice have their centres."""
    return [((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(voxels, pixels, strict=False)]


def canvas_of(screen: np.ndarray) -> np.ndarray:
    """Return the slice: grey where nothing is wrong, for there is no image, on black."""
    bright = (
        (screen > 50).all(axis=2)
        & (np.ptp(screen.astype(int), axis=2) == 0)
        & (screen[..., 0] == pictures.NO_IMAGE)
    )
    rows, columns = np.flatnonzero(bright.sum(axis=1) > 40), np.flatnonzero(bright.sum(axis=0) > 40)
    return screen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_printing_gives_pages_with_the_pictures(one):
    pdf = browser.print_pdf(one / "report.html")
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
    strips = [m for m in re.findall(rb"/Subtype\s*/Image[^>]*?/Width (\d+)", pdf) if int(m) > 300]
    assert len(strips) >= 5
    assert b"/Font" in pdf


# Its parts


def unpack(text: str, facts: dict) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """The inverse of `pack`, as viewer.js does it."""
    data = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    shape = tuple(facts["size"][::-1])
    planes = list(data.reshape(-1, *shape))
    image = np.cumsum(planes.pop(0), axis=2, dtype=np.uint8) if facts["image"] else None
    if facts["wide"]:
        planes = [low + 256 * high.astype(np.uint16) for low, high in zip(planes[::2], planes[1::2], strict=True)]
    maps = [planes[0], *(plane ^ planes[0] for plane in planes[1:])]
    return image, maps


@pytest.mark.parametrize("many", [False, True])
def test_packed_volumes_come_back(many):
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 1000 if many else 4, (9, 8, 7)) * 3
    prediction = np.where(rng.random(reference.shape) < 0.3, 0, reference)
    scene = prepare(Views(rng.normal(size=reference.shape), reference, prediction, np.eye(4), second=reference))
    ids = np.unique([0, *reference.ravel()])
    text, facts = pack(scene, {str(ids[1]): "first"})
    image, maps = unpack(text, facts)
    assert facts["wide"] == many
    assert facts["names"][:3] == ["background", "first", str(ids[2])]
    for labels, found in zip((scene.reference, *scene.predictions), maps, strict=True):
        np.testing.assert_array_equal(ids[found], labels.transpose(2, 1, 0))
    assert np.ptp(image) == 255


def test_large_volumes_are_thinned_out_along_their_finest_axes(monkeypatch):
    assert strides((64, 50, 36), (1, 1, 1)) == (1, 1, 1)
    assert strides((400, 300, 100), (0.7, 0.7, 5)) == (3, 3, 1)
    monkeypatch.setattr(evidence, "MAX_VOXELS", 1)
    assert strides((1, 7, 3), (1, 1, 1)) == (1, 7, 3)


def test_the_worst_cases_that_fit_have_pictures_and_those_asked_for(monkeypatch):
    cases = [{"id": str(i)} for i in range(12)]

    def read(case):
        reference, ours, _ = volumes(int(case["id"]) + 1)
        return Views(None, reference, ours, AFFINE)

    everything = gather(cases, read, show=(), names={}, draw=lambda *_: None)
    assert list(everything) == [case["id"] for case in cases]
    sizes = [len(its.pictures[0].base64) for its in everything.values()]
    monkeypatch.setattr(evidence, "PICTURES_MIB", (sum(sizes[:4]) + 1) / 2**20)
    monkeypatch.setattr(evidence, "VOLUMES_MIB", len(everything["0"].volume) / 2**20)
    for threads in (1, 3):
        monkeypatch.setattr(evidence, "THREADS", threads)
        some = gather(cases, read, show=["9"], names={}, draw=lambda *_: None)
        assert set(some) == {"0", "1", "2", "3", "9"}
        assert {name for name, its in some.items() if its.volume} == {"0", "9"}


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


@pytest.mark.parametrize("metric", ["dice", "hd95_mm", "volume_error_ml"])
@pytest.mark.parametrize("n", [1, 2, 40, 2000])
def test_distributions_are_drawn_to_scale(metric, n):
    values = np.random.default_rng(n).gamma(2, 0.2, n)
    values = 1 - values / values.max() if metric == "dice" else values - (metric == "volume_error_ml")
    rows = [{"case": str(i), "label": 1, "name": "x", metric: float(v)} for i, v in enumerate(values)]
    plot = distributions.distribution(metric, rows, {"1": "x", "2": "none"}, [None])
    (line,) = plot["lines"]
    (strip,) = line["strips"]
    (left, low), (right, high) = (
        (place, float(t.replace("−", "-"))) for place, t in (plot["ticks"][0], plot["ticks"][-1])
    )
    assert (left, right) == pytest.approx((0, 100))

    def to_value(x: float) -> float:
        return low + (high - low) * x / distributions.WIDE

    quartiles = np.percentile(values, (25, 50, 75))
    np.testing.assert_allclose([to_value(x) for x in strip["box"][1:4]], quartiles, atol=(high - low) / 500)
    assert strip["box"] == sorted(strip["box"])
    assert plot["cut"] == (values.max() > high)
    assert len(strip["dots"]) < 12 * distributions.DOTS_OF_A_STRIP
    order = np.argsort(values)
    worst = {"dice": order[:3], "hd95_mm": order[::-1][:3]}.get(metric, [])
    assert {case for _, case in strip["worst"]} == {str(i) for i in worst}


def test_file_names_are_plain():
    assert file_name(HOSTILE) == "_script_document.title_taken_script_"
    assert file_name("../" * 3) == ".._.._.._"
    assert len(file_name("ä" * 300)) == 100


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
