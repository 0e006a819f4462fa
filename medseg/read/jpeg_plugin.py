"""JPEG and JPEG-LS of every kind that DICOM has, for pydicom: by imagecodecs (libjpeg-turbo, CharLS).

pydicom's own plugins leave 12-bit JPEG undecoded, or need GDCM, whose Python module takes any folder called
``dl`` where Python was started for a module of that name, and then fails to import; pydicom with it. None looks
at the size in a frame's own header before decoding it, which may claim millions of pixels.
"""

from __future__ import annotations

import struct

import imagecodecs
from pydicom import uid
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner

NAME = "medseg-jpeg"
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1, *JPEG_LS)
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("numpy", "imagecodecs"))
STARTS_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1, T.87 table C.1


def is_available(syntax: str) -> bool:
    """Say that pydicom may use this plugin; the dependency is medseg's own."""
    return syntax in SYNTAXES


def decode(source: bytes, runner: DecodeRunner) -> bytearray:
    """Return one frame's pixels, little endian, and tell pydicom how many bits each has."""
    if _frame_size(source) != (runner.rows, runner.columns):
        raise ValueError("the frame's size is not the header's")
    read = imagecodecs.jpegls_decode if runner.transfer_syntax in JPEG_LS else imagecodecs.jpeg8_decode
    pixels = read(source)
    if pixels.shape != (runner.rows, runner.columns):
        raise ValueError("the frame holds colours")
    runner.set_option("bits_allocated", pixels.dtype.itemsize * 8)
    return bytearray(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes())


def _frame_size(source: bytes) -> tuple[int, int]:
    """Return the rows and columns that a frame's own header gives."""
    at = 2  # after the start of image
    while at + 9 <= len(source) and source[at] == 0xFF:
        marker = source[at + 1]
        if marker in STARTS_OF_FRAME:
            return struct.unpack(">HH", source[at + 5 : at + 9])
        at += 1 if marker == 0xFF else 2 + struct.unpack(">H", source[at + 2 : at + 4])[0]
    raise ValueError("the frame has no header")


def register() -> None:
    """Make pydicom know this plugin; it is used where it is named, and where no other is installed."""
    for syntax in SYNTAXES:
        decoder = get_decoder(syntax)
        if NAME not in decoder.available_plugins:
            decoder.add_plugin(NAME, (__name__, "decode"))
