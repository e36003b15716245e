"""The little of WebSocket framing (RFC 6455 §5.2) that every message passes: heads, sizes, and masks.

The rest (handshake, control frames, fragments, errors) is left to `websockets`. It would do this too, but copies each
payload and takes 25 µs of a round trip of 270 µs for it (measured).
"""

from __future__ import annotations

import struct
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled extension for this platform
    from websockets.utils import apply_mask

__all__ = ["frame_size", "text_head", "whole_text"]

_WHOLE_TEXT: Final = 0x81
_MASKED: Final = 0x80


def whole_text(frame: bytes) -> bytes | None:
    """The payload of a complete *frame* that is a whole text message from a client; None for any other frame."""
    if frame[0] != _WHOLE_TEXT or not frame[1] & _MASKED:
        return None
    head = _head_size(frame)
    return apply_mask(frame[head:], frame[head - 4 : head])


def frame_size(data: bytes | bytearray) -> int:
    """The size of the frame that *data* begins with; more than there is of it when that can't be told yet."""
    if len(data) < 2:
        return 2
    head = _head_size(data)
    if len(data) < head:
        return head
    length = data[1] & 0x7F
    if length >= 126:
        length = int.from_bytes(data[2 : 4 if length == 126 else 10])
    return head + length


def text_head(size: int) -> bytes:
    """The head of an unmasked, unfragmented text frame with a payload of *size* bytes."""
    if size < 126:
        return struct.pack("!BB", _WHOLE_TEXT, size)
    if size < 2**16:
        return struct.pack("!BBH", _WHOLE_TEXT, 126, size)
    return struct.pack("!BBQ", _WHOLE_TEXT, 127, size)


def _head_size(frame: bytes | bytearray) -> int:
    """How many bytes come before the payload, as a frame's first two tell."""
    mask = 4 if frame[1] & _MASKED else 0
    return mask + {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)
