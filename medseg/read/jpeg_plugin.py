"""JPEG of every kind that DICOM has, for pydicom: by imagecodecs (libjpeg-turbo).

pydicom's own plugins leave 12-bit JPEG undecoded, or need GDCM, whose Python module takes any folder called
``dl`` where Python was started for a module of that name, and then fails to import; pydicom with it.
"""

from __future__ import annotations

import imagecodecs
from pydicom import uid
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner

NAME = "medseg-jpeg"
SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("numpy", "imagecodecs"))


def is_available(syntax: str) -> bool:
    """Say that pydicom may use this plugin; the dependency is medseg's own."""
    return syntax in SYNTAXES


def decode(source: bytes, runner: DecodeRunner) -> bytearray:
    """Return one frame's pixels, little endian, and tell pydicom how many bits each has."""
    pixels = imagecodecs.jpeg8_decode(source)
    if pixels.shape != (runner.rows, runner.columns):
        raise ValueError("the frame's size or number of colours is not the header's")
    runner.set_option("bits_allocated", pixels.dtype.itemsize * 8)
    return bytearray(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes())


def register() -> None:
    """Make pydicom know this plugin; it is used where it is named, and where no other is installed."""
    for syntax in SYNTAXES:
        decoder = get_decoder(syntax)
        if NAME not in decoder.available_plugins:
            decoder.add_plugin(NAME, (__name__, "decode"))
