"""Pictures with the time of each, in the one container that an encoder reads from a pipe and believes: Matroska.

Just what that takes (RFC 9559): one track of JPEG pictures, one cluster of a known size for each, times in ms. It is
written forwards only, and whatever was written so far is a whole film.
"""

from __future__ import annotations

from typing import Final

__all__ = ["head", "jpeg_size", "picture"]

_UNKNOWN_SIZE: Final = b"\x01" + b"\xff" * 7
_KEYFRAME: Final = 0x80
_MS: Final = 1_000_000  # ns


def head(width: int, height: int) -> bytes:
    """What comes before the first picture; pictures may be of other sizes."""
    ebml = _element(0x1A45DFA3, _text(0x4282, "matroska") + _number(0x4287, 4) + _number(0x4285, 2))
    info = _element(0x1549A966, _number(0x2AD7B1, _MS) + _text(0x4D80, "lifecycle") + _text(0x5741, "lifecycle"))
    size = _element(0xE0, _number(0xB0, width) + _number(0xBA, height))
    track = _number(0xD7, 1) + _number(0x73C5, 1) + _number(0x83, 1) + _text(0x86, "V_MJPEG") + size
    return ebml + _id(0x18538067) + _UNKNOWN_SIZE + info + _element(0x1654AE6B, _element(0xAE, track))


def picture(jpeg: bytes, at_ms: int) -> bytes:
    """One picture, shown from *at_ms* after the beginning; these never go back."""
    block = bytes((0x81, 0, 0, _KEYFRAME))  # track 1, at its cluster's own time
    return _element(0x1F43B675, _number(0xE7, at_ms) + _element(0xA3, block + jpeg))


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Width and height of a picture.

    Raises:
        ValueError: It isn't a JPEG.
    """
    at = 2
    while jpeg[:2] == b"\xff\xd8" and at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        kind, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4])
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # a start of frame, not a table
            return int.from_bytes(jpeg[at + 7 : at + 9]), int.from_bytes(jpeg[at + 5 : at + 7])
        at += 2 + length
    raise ValueError("not a JPEG")


def _id(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def _element(number: int, body: bytes) -> bytes:
    return _id(number) + (len(body) | 1 << 56).to_bytes(8) + body


def _number(number: int, value: int) -> bytes:
    return _element(number, value.to_bytes(8))


def _text(number: int, value: str) -> bytes:
    return _element(number, value.encode())
