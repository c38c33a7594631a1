"""The size that a compressed image states, read before it is decoded."""

from __future__ import annotations

import struct

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_JP2_BOX = b"\x00\x00\x00\x0cjP  "
# Start of frame: of JPEG (but not the tables 0xC4, 0xC8, 0xCC between them), and of JPEG-LS.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def coded_size(coded: bytes) -> tuple[int, int] | None:
    """Width and height in the header of a JPEG, JPEG-LS or JPEG-2000 codestream.

    A decoder makes room for what the codestream says, whatever the file around it says.

    Returns:
      None if it is none of these, or broken.
    """
    try:
        if coded.startswith(_JP2_BOX):
            coded = coded[coded.index(_JPEG_2000) :]
        if coded.startswith(_JPEG_2000):
            right, bottom, left, top = struct.unpack_from(">4I", coded, 8)
            return right - left, bottom - top
        if coded.startswith(_JPEG):
            return _jpeg_size(coded)
    except (struct.error, ValueError, IndexError):
        pass
    return None


def _jpeg_size(coded: bytes) -> tuple[int, int] | None:
    position = 2
    while coded[position] == 0xFF:
        marker = coded[position + 1]
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">2H", coded, position + 5)
            return width, height
        if marker == 0xFF:  # filling
            position += 1
        elif marker in _ALONE:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", coded, position + 2)[0]
    return None
