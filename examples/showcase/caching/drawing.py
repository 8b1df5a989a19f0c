"""What the files of a site contain: every version of a file looks different.

Pure: a version number in, text or bytes out. Colors turn with the version, and the pictures have
its number on them, so that one can see which copy the browser shows.
"""

import struct
import zlib
from collections.abc import Iterable
from math import cos, pi, sin

WIDTH, HEIGHT = 240, 150
Point = tuple[float, float]


def hue(version: int) -> int:
    """An angle of the color circle; those of versions that follow each other are far apart."""
    return (160 + 77 * (version - 1)) % 360


def hills(version: int) -> str:
    """Three ridges, one behind the other."""
    color = hue(version)
    ridges = [
        polygon(
            ridge(55 + 28 * depth, 16 - 3 * depth, depth), f"hsl({color} 45% {62 - 16 * depth}%)"
        )
        for depth in range(3)
    ]
    return svg(f"hsl({color} 60% 88%)", [*ridges, label(version)])


def ridge(height: float, swing: float, depth: int) -> list[Point]:
    line = [
        (x, height + swing * sin(x / (17 + 9 * depth) + 2 * depth) + swing / 3 * sin(x / 7 + depth))
        for x in range(0, WIDTH + 1, 4)
    ]
    return [(0, HEIGHT), *line, (WIDTH, HEIGHT)]


def waves(version: int) -> str:
    """Lines of a sea."""
    color = hue(version)
    lines = []
    for row in range(9):
        points = [
            (x, 22 + 14 * row + (2 + row) * sin(x / (9 + 2 * row) + row))
            for x in range(0, WIDTH + 1, 4)
        ]
        stroke = f'stroke="hsl({color} 60% {75 - 5 * row}%)" stroke-width="4"'
        lines.append(f'<polyline points="{join(points)}" fill="none" {stroke}/>')
    return svg(f"hsl({color} 50% 18%)", [*lines, label(version)])


def sun(version: int) -> str:
    """A disc with rays."""
    color = hue(version)
    rays = [
        polygon(
            [turn(44, angle - 0.07), turn(66 + 9 * (ray % 2), angle), turn(44, angle + 0.07)],
            f"hsl({color} 85% {48 + ray % 3 * 6}%)",
        )
        for ray, angle in enumerate(2 * pi * ray / 24 for ray in range(24))
    ]
    disc = f'<circle cx="120" cy="75" r="38" fill="hsl({color} 90% 58%)"/>'
    return svg(f"hsl({(color + 200) % 360} 55% 24%)", [*rays, disc, label(version)])


def dial(version: int) -> str:
    """A dial whose hand goes on with each version."""
    color = hue(version)
    ticks = [
        line(turn(58 if tick % 5 else 52, angle), turn(64, angle), 1 if tick % 5 else 3, "#456")
        for tick, angle in enumerate(2 * pi * tick / 60 for tick in range(60))
    ]
    hand = line((120, 75), turn(46, 2 * pi * version / 12 - pi / 2), 5, f"hsl({color} 70% 40%)")
    return svg("#eef2f6", [*ticks, hand, label(version)])


def theme(version: int) -> str:
    """A style sheet: a gradient of many steps."""
    steps = []
    for step in range(49):
        color = f"hsl({(hue(version) + 3 * step) % 360} {78 - step // 2}% {38 + step // 2}%)"
        steps.append(f"    {color} {100 * step / 48:.1f}%")
    gradient = ",\n".join(steps)
    return (
        f"/* Version {version} of the theme. */\n"
        f'.themed::after {{ content: "version {version}"; }}\n'
        f".themed {{\n  background: linear-gradient(120deg,\n{gradient});\n}}\n"
    )


def photo(version: int) -> bytes:
    """A raster as a PNG (W3C, PNG §5): a byte for each color of a pixel, no filter."""
    width, height = WIDTH // 2, HEIGHT // 2
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            light = 0.6 + 0.4 * sin(x / 12 + version) * cos(y / 9 - version)
            angle = pi * hue(version) / 180 + (x + y) / 70
            for third in (0.0, 2 * pi / 3, 4 * pi / 3):
                rows.append(int(light * (150 + 100 * cos(angle - third))))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


# --- pieces of SVG -------------------------------------------------------------------------


def svg(ground: str, elements: Iterable[str]) -> str:
    inner = "\n".join(elements)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}">\n<rect width="100%" height="100%" fill="{ground}"/>\n'
        f"{inner}\n</svg>\n"
    )


def label(version: int) -> str:
    return (
        f'<rect x="8" y="108" width="132" height="34" rx="6" fill="#fff" fill-opacity=".88"/>'
        f'<text x="74" y="132" font-family="sans-serif" font-size="22" text-anchor="middle" '
        f'fill="#123">version {version}</text>'
    )


def polygon(points: Iterable[Point], color: str) -> str:
    return f'<polygon points="{join(points)}" fill="{color}"/>'


def line(start: Point, end: Point, width: float, color: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{color}" stroke-width="{width}"/>'
    )


def turn(radius: float, angle: float) -> Point:
    """A point around the middle of the picture."""
    return WIDTH / 2 + radius * cos(angle), HEIGHT / 2 + radius * sin(angle)


def join(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
