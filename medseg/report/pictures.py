"""Pictures of segmentations: fixed colours per label, slices where the error is largest, as arrays and PNG."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medseg.report.scenes import Scene, to_grey

# Of Okabe and Ito's colours, told apart by colour-blind readers too (Color Universal Design, 2008)
ORANGE, SKY, BLUE, VERMILLION, PURPLE = (
    *((230, 159, 0), (86, 180, 233), (0, 114, 178)),
    *((213, 94, 0), (204, 121, 167)),
)
# Blue belongs to the reference, orange to the prediction, whatever the label.
REFERENCE, PREDICTION = SKY, ORANGE
MISSED, INVENTED, CONFUSED = (
    BLUE,
    VERMILLION,
    PURPLE,
)  # only in the reference, only in the prediction, another label
FILL_OPACITY = 0.55
LEGEND = (  # text, colour, whether areas are filled with it
    ("reference", REFERENCE, False),
    ("prediction", PREDICTION, False),
    ("missed", MISSED, True),
    ("invented", INVENTED, True),
    ("another label", CONFUSED, True),
)
GREYS = 60  # a palette has 256 places: 4 fills times these greys, the two contours, the gap
REFERENCE_INDEX, PREDICTION_INDEX, GAP_INDEX = 4 * GREYS, 4 * GREYS + 1, 4 * GREYS + 2
PNG_LEVEL = 4  # a strip in 5 ms instead of 14 at level 7, 6 % larger
WEBP_QUALITY = 80
NO_IMAGE = 70  # the grey, of 255, where there is no image
PLANES = ((2, 0, 1, "RLAP"), (1, 0, 2, "RLSI"), (0, 1, 2, "APSI"))  # cut, across, down, letters at the four edges


def may_be_shown(codes: str | Iterable[str]) -> bool:
    """Say whether pictures may be drawn of an image read with these codes; burned-in text may name the patient."""
    return "DICOM_BURNED_IN_ANNOTATION" not in codes


def strip(scene: Scene, prediction: np.ndarray, *, width: int, height: int, line: int = 1) -> Image.Image:
    """Draw the three planes through the scene's point side by side, right on the left, in true proportions.

    Planes that are one voxel thin are left out. Contours run along voxel edges; where both run, they alternate.

    Parameters
    ----------
    prediction
        One of the scene's.
    width, height
        Pixels that the picture may have at most.
    line
        Thickness of contours in pixels.

    Returns
    -------
    PIL.Image.Image
        In palette mode; what lies between and beside the planes is transparent.
    """
    shape = scene.reference.shape
    planes = [plane for plane in PLANES if min(shape[plane[1]], shape[plane[2]]) > 1] or [PLANES[0]]
    extent_mm = [size * spacing for size, spacing in zip(shape, scene.spacing_mm, strict=True)]
    gap = 6 * line
    scale = min(
        (width - gap * (len(planes) - 1)) / sum(extent_mm[across] for _, across, _, _ in planes),
        height / max(extent_mm[down] for _, _, down, _ in planes),
        16 * line / min(scene.spacing_mm),
    )
    drawn = [
        _panel(scene, prediction, plane, [max(1, int(extent_mm[axis] * scale)) for axis in plane[1:3]], line)
        for plane in planes
    ]
    tall, wide = (
        max(len(panel) for panel in drawn),
        sum(panel.shape[1] for panel in drawn) + gap * (len(drawn) - 1),
    )
    sheet = np.full((tall, wide), GAP_INDEX, np.uint8)
    left = 0
    for panel in drawn:
        top = (tall - len(panel)) // 2
        sheet[top : top + len(panel), left : left + panel.shape[1]] = panel
        left += panel.shape[1] + gap
    picture = Image.fromarray(sheet)
    picture.putpalette(_palette())
    picture.info["transparency"] = GAP_INDEX
    return picture


@lru_cache(maxsize=1)
def _palette() -> bytes:
    grey = np.repeat(np.linspace(0, 255, GREYS)[:, None], 3, axis=1)
    fills = [(1 - FILL_OPACITY) * grey + FILL_OPACITY * np.array(c) for c in (MISSED, INVENTED, CONFUSED)]
    return np.concatenate([grey, *fills, [REFERENCE, PREDICTION, (0, 0, 0)]]).round().astype(np.uint8).tobytes()


def _panel(
    scene: Scene, prediction: np.ndarray, plane: tuple[int, int, int, str], size: list[int], line: int
) -> np.ndarray:
    """Draw one plane as palette indices (rows, columns)."""
    cut, across, down, letters = plane
    place: list[int | slice] = [slice(None)] * 3
    place[cut] = scene.point[cut]
    at = tuple(place)
    counts = [scene.reference.shape[axis] for axis in (across, down)]
    columns, rows = ((np.arange(pixels) * voxels) // pixels for pixels, voxels in zip(size, counts, strict=True))
    ours, theirs = (labels[at][np.ix_(columns, rows)].T for labels in (prediction, scene.reference))
    grey = np.full(ours.shape, NO_IMAGE, np.uint8)
    if scene.image is not None:
        flat = np.ascontiguousarray(to_grey(scene.image[at], scene.window).T)
        grey = np.asarray(Image.fromarray(flat).resize((size[0], size[1]), Image.Resampling.BILINEAR))
    grey = (grey.astype(np.uint16) * GREYS // 256).astype(np.uint8)
    state = np.select([ours == theirs, ours == 0, theirs == 0], [0, 1, 2], 3).astype(np.uint8)
    picture = state * np.uint8(GREYS) + grey
    reference_edge, prediction_edge = _edges(theirs, line), _edges(ours, line)
    y, x = np.ogrid[: picture.shape[0], : picture.shape[1]]
    turns = ((x + y) // (4 * line)) % 2 == 0
    picture[reference_edge] = REFERENCE_INDEX
    picture[prediction_edge & (turns | ~reference_edge)] = PREDICTION_INDEX
    for axis, length in ((across, 1), (down, 0)):  # ticks at the rim, where the other planes cut this one
        centre = int((scene.point[axis] + 0.5) * picture.shape[length] / scene.reference.shape[axis])
        beside = np.moveaxis(picture, length, 0)[centre : centre + line]
        beside[:, : 4 * line] = beside[:, -4 * line :] = GREYS - 1
    _write_letters(picture, grey, letters, line)
    return picture


def _edges(labels: np.ndarray, line: int) -> np.ndarray:
    """Mark pixels whose label differs from that of their left or upper neighbour `line` pixels away."""
    edge = np.zeros(labels.shape, bool)
    for step in range(1, line + 1):
        edge[step:] |= labels[step:] != labels[:-step]
        edge[:, step:] |= labels[:, step:] != labels[:, :-step]
    return edge


def _write_letters(picture: np.ndarray, grey: np.ndarray, letters: str, line: int) -> None:
    """Write the directions' letters at the left, right, upper and lower rim, where there is room for them."""
    for letter, (y, x) in zip(letters, ((0.5, 0.0), (0.5, 1.0), (0.0, 0.5), (1.0, 0.5)), strict=True):
        glyph, pad = _glyph(letter, 11 * line), 3 * line
        spare = [pixels - drawn - 2 * pad for pixels, drawn in zip(picture.shape, glyph.shape, strict=True)]
        if min(spare) < 2 * max(glyph.shape):
            return
        top, left = pad + round(y * spare[0]), pad + round(x * spare[1])
        at = np.s_[top : top + glyph.shape[0], left : left + glyph.shape[1]]
        picture[at] = np.maximum(grey[at] // 2, (glyph * (GREYS - 1)).astype(np.uint8))


@lru_cache(maxsize=64)
def _glyph(letter: str, pixels: int) -> np.ndarray:
    """Return a letter's coverage, 0 to 1."""
    font = ImageFont.load_default(pixels)
    left, top, right, bottom = font.getbbox(letter)
    canvas = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(canvas).text((1 - left, 1 - top), letter, fill=255, font=font)
    return np.asarray(canvas, dtype=np.float32) / 255


def png(picture: Image.Image) -> bytes:
    """Return the picture as a PNG file's bytes; the same picture gives the same bytes."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=PNG_LEVEL)
    return stream.getvalue()


def webp(picture: Image.Image) -> bytes:
    """Return the picture as a WebP file's bytes: a quarter of the PNG's, and no difference that the eye sees."""
    stream = io.BytesIO()
    picture.convert("RGBA").save(stream, "WEBP", quality=WEBP_QUALITY, method=2)
    return stream.getvalue()


def poster(scene: Scene, title: str, captions: Sequence[str], *, width: int = 1560, height: int = 640) -> bytes:
    """Return a PNG of its own: the title, a strip below each caption (one a prediction), and what colours mean."""
    strips = [strip(scene, labels, width=width, height=height, line=3) for labels in scene.predictions]
    pad, row = 36, 60
    named = [(caption, drawn) for caption, drawn in zip(captions, strips, strict=True)]
    tall = 2 * pad + 2 * row + sum(drawn.height + row for _, drawn in named)
    sheet = Image.new("RGB", (width + 2 * pad, tall), (18, 21, 24))
    pen = ImageDraw.Draw(sheet)
    pen.text((pad, pad), title, font=ImageFont.load_default(34), fill=(240, 242, 244))
    top = pad + row
    for caption, drawn in named:
        pen.text((pad, top + 8), caption, font=ImageFont.load_default(26), fill=(168, 176, 184))
        sheet.paste(drawn.convert("RGBA"), (pad, top + row - 10), drawn.convert("RGBA"))
        top += drawn.height + row
    left, middle = pad, top + row // 2 + 8
    for text, colour, filled in LEGEND:
        box = (left, middle - 10, left + 30, middle + 10)
        pen.rectangle(box, fill=colour if filled else None, outline=colour, width=3)
        pen.text((left + 42, middle), text, font=ImageFont.load_default(24), fill=(208, 214, 220), anchor="lm")
        left += 42 + round(pen.textlength(text, font=ImageFont.load_default(24))) + 44
    return png(sheet)
