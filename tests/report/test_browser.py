"""The report in a headless browser: readable in both themes and in print, and slices scrolled voxel by voxel."""

import csv
import html
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from oracles import browser
from oracles.report_cases import AFFINE, judge_one, judge_two, unpack, volumes

from medseg.report import pictures
from medseg.report.scenes import Views, scene_of

# Left, right, top, bottom, as radiologists look.
LETTERS = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Path:
    return judge_one(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    return judge_two(tmp_path_factory.mktemp("two"))


def rows_of_colour(screen: np.ndarray, colour: tuple[int, int, int]) -> int:
    near = np.abs(screen.astype(int) - colour) <= 40  # of 255: WebP gives thin lines a little of what is beside
    return int(near.all(axis=2).any(axis=1).sum())


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
    scene = scene_of(Views(None, reference, ours, AFFINE, second=theirs))
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
for (const [on, event] of [  // as a hand does while the first case is still being unpacked
  [".stage", new WheelEvent("wheel", { deltaY: 5, cancelable: true })],
  ["#slice", new PointerEvent("pointermove")],
  ["#profile", new MouseEvent("click")],
  ["#position", new Event("input")],
  ["#viewer-case", new Event("change")],
]) fire(document.querySelector(on), event);
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
