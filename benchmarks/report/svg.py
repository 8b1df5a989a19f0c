"""A small SVG writer for horizontal bars in groups; it knows nothing about benchmarks.

The picture carries its own background and both color schemes, so it is legible wherever it is
shown. Colors only group the bars: every bar has its name and its value as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

WIDTH = 860
MARGIN = 24
LABELS = 190
VALUES = 120
ROW = 24
THICKNESS = 14
HEADER = 74
GROUP_HEADER = 34
PLOT = WIDTH - 2 * MARGIN - LABELS - VALUES

STYLE = """
  .card { fill: #ffffff; stroke: #d0d7de; }
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 18px; font-weight: 600; }
  .subtitle, .label { fill: #59636e; }
  .group { font-size: 14px; font-weight: 600; }
  .value { font-variant-numeric: tabular-nums; }
  .failed { fill: #cf222e; font-weight: 600; }
  .axis { stroke: #59636e; }
  .range { stroke: #1f2328; stroke-opacity: 0.7; fill: none; }
  .other { fill: #8250df; }
  .limit { fill: #8c959f; }
  .httpkit { fill: #0969da; }
  .granian { fill: #d4791f; }
  .uvicorn { fill: #2da08a; }
  .hypercorn { fill: #bf3989; }
  .sanic { fill: #b08800; }
  .aiohttp { fill: #6e7f0e; }
  .nginx { fill: #1a7f37; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #30363d; }
    text { fill: #f0f6fc; }
    .subtitle, .label { fill: #a5aeb8; }
    .failed { fill: #ff7b72; }
    .axis { stroke: #9198a1; }
    .range { stroke: #f0f6fc; }
    .other { fill: #ab7df8; }
    .limit { fill: #6e7681; }
    .httpkit { fill: #4493f8; }
    .granian { fill: #e0883a; }
    .uvicorn { fill: #3fb79f; }
    .hypercorn { fill: #db61a2; }
    .sanic { fill: #d9a514; }
    .aiohttp { fill: #a5b62a; }
    .nginx { fill: #3fb950; }
  }
"""
FAMILIES = frozenset(
    ("limit", "httpkit", "granian", "uvicorn", "hypercorn", "sanic", "aiohttp", "nginx")
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; without a value only its text is written."""

    label: str
    family: str
    text: str
    value: float | None = None
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that share a heading and a scale, which begins at zero."""

    name: str
    bars: Sequence[Bar]


def text(x: float, y: float, kind: str, content: str, anchor: str = "start") -> str:
    """Return a text element."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class={quoteattr(kind)} text-anchor="{anchor}">'
        f"{escape(content)}</text>"
    )


def bar_elements(bar: Bar, y: float, scale: float) -> list[str]:
    """Return one row: the name, the bar with the range of its rounds, and the value."""
    left = MARGIN + LABELS
    middle = y + ROW / 2
    baseline = middle + 4.5
    elements = [text(left - 10, baseline, "label", bar.label, "end")]
    if bar.value is None:
        return [*elements, text(left + 8, baseline, "failed", bar.text)]
    family = bar.family if bar.family in FAMILIES else "other"
    elements.append(
        f'<rect x="{left}" y="{middle - THICKNESS / 2:.1f}" width="{bar.value * scale:.1f}" '
        f'height="{THICKNESS}" rx="2" class="{family}"/>'
    )
    low, high = left + bar.low * scale, left + bar.high * scale
    if high - low >= 1:
        elements.append(
            f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 3:.1f}v6'
            f'M{high:.1f} {middle - 3:.1f}v6" class="range"/>'
        )
    end = max(left + bar.value * scale, high)
    return [*elements, text(end + 8, baseline, "value", bar.text)]


def group_elements(group: Group, y: float) -> list[str]:
    """Return one group, the top of which is at ``y``."""
    highest = max((bar.high for bar in group.bars), default=0.0)
    scale = PLOT / highest if highest else 0.0
    left, top = MARGIN + LABELS, y + GROUP_HEADER
    elements = [text(MARGIN, y + GROUP_HEADER - 10, "group", group.name)]
    for row, bar in enumerate(group.bars):
        elements += bar_elements(bar, top + row * ROW, scale)
    bottom = top + len(group.bars) * ROW
    elements.append(f'<path d="M{left} {top:.1f}V{bottom:.1f}" class="axis"/>')
    return elements


def chart_svg(title: str, subtitle: str, groups: Sequence[Group]) -> str:
    """Return a whole chart."""
    elements = [
        text(MARGIN, 36, "title", title),
        text(MARGIN, 58, "subtitle", subtitle),
    ]
    y = float(HEADER)
    for group in groups:
        elements += group_elements(group, y)
        y += GROUP_HEADER + len(group.bars) * ROW
    height = y + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" role="img" aria-label={quoteattr(title)}>'
    )
    card = (
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="6" class="card"/>'
    )
    return "\n".join([head, f"<style>{STYLE}</style>", card, *elements, "</svg>\n"])
