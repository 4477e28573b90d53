# SPDX-License-Identifier: MIT
"""Reads the pixels of a PNG as gnuplot writes them, to see what is on a figure."""
import struct
import zlib


def plus(a, b, mask=0x7F):
    """a + b for each byte, modulo 256."""
    low = int.from_bytes(bytes([mask]) * len(a), "little")
    x, y = int.from_bytes(a, "little"), int.from_bytes(b, "little")
    return ((x & low) + (y & low) ^ (x ^ y) & ~low).to_bytes(len(a), "little")


def unfiltered(kind, row, up, size):
    """A row of a PNG (8 bits a channel, `size` bytes a pixel) without its filter."""
    if kind == 0:
        return row
    if kind == 2:
        return plus(row, up)
    now = bytearray(len(row))
    at = 0
    while at < len(row):
        left, corner = (now[at - size:at], up[at - size:at]) if at else (bytes(size), bytes(size))
        if kind == 4 and left == corner and row[at] == 0:  # a run of zeros repeats the row above
            end = len(row) - len(row[at:].lstrip(b"\0"))
            end -= end % size if end < len(row) else 0
            if end > at:
                now[at:end] = up[at:end]
                at = end
                continue
        for i in range(size):
            a, b, c = left[i], up[at + i], corner[i]
            if kind == 1:
                guess = a
            elif kind == 3:
                guess = (a + b) // 2
            else:
                pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
                guess = a if pa <= pb and pa <= pc else b if pb <= pc else c
            now[at + i] = row[at + i] + guess & 255
        at += size
    return bytes(now)


class Image:
    """The pixels of an RGB PNG; every checksum is verified."""

    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        assert data[:8] == b"\x89PNG\r\n\x1a\n", path
        at, body = 8, b""
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at:at + 8])
            content = data[at + 8:at + 8 + length]
            assert zlib.crc32(kind + content) == struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0], path
            if kind == b"IHDR":
                self.width, self.height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", content)
                assert (depth, color, interlaced) == (8, 2, 0), "another kind of PNG than gnuplot's pngcairo writes"
            body += content if kind == b"IDAT" else b""
            at += 12 + length
        assert kind == b"IEND", path
        raw, stride = zlib.decompress(body), 3 * self.width + 1
        assert len(raw) == stride * self.height, path
        self.rows, up = [], bytes(stride - 1)
        for y in range(self.height):
            up = unfiltered(raw[y * stride], raw[y * stride + 1:(y + 1) * stride], up, 3)
            self.rows.append(up)

    def count(self, color, y):
        """Pixels of exactly this colour in a row."""
        row, found, at = self.rows[y], 0, -1
        while (at := row.find(bytes(color), at + 1)) >= 0:
            found += at % 3 == 0
        return found

    def bands(self, color, top, bottom):
        """Runs of rows with this colour, as the largest count in each: horizontal lines, from the top."""
        found, inside = [], False
        for y in range(top, bottom):
            n = self.count(color, y)
            if n and not inside:
                found.append(0)
            inside = n > 0
            if n:
                found[-1] = max(found[-1], n)
        return found
