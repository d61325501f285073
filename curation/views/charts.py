"""Charts as plain SVG, drawn on the server: readable without script, values on hover, colours from the stylesheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 26


@dataclass(frozen=True)
class Line:
    """A named curve: (x, y) points in ascending x. Its colour is the stylesheet's `.c<n>`, n its place in the chart."""

    name: str
    points: Sequence[tuple[float, float]]


def draw_lines(lines: Sequence[Line], *, x_label: str, y_label: str) -> SafeString:
    """Curves over common axes. Points that are not finite are left out; with nothing to draw, a sentence says so."""
    kept = [Line(line.name, [p for p in line.points if all(map(math.isfinite, p))]) for line in lines]
    everything = [point for line in kept for point in line.points]
    if not everything:
        return format_html('<p class="muted">{} will be drawn here once there are values.</p>', y_label)
    x_low, x_high = _span([x for x, _ in everything])
    y_low, y_high = _span([y for _, y in everything])

    def place(x: float, y: float) -> tuple[str, str]:
        across = LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
        down = TOP + (y_high - y) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f}", f"{down:.1f}"

    grid = format_html_join(
        "",
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>',
        [
            (
                LEFT,
                WIDTH - RIGHT,
                place(x_low, y)[1],
                place(x_low, y)[1],
                LEFT - 6,
                float(place(x_low, y)[1]) + 4,
                f"{y:.3g}",
            )
            for y in (y_low, (y_low + y_high) / 2, y_high)
        ],
    )
    ticks = format_html_join(
        "",
        '<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>',
        [(place(x, y_low)[0], HEIGHT - 8, f"{x:g}") for x in sorted({x_low, round((x_low + x_high) / 2), x_high})],
    )
    curves = format_html_join(
        "",
        '<polyline class="curve c{}" points="{}"/>{}',
        [
            (
                number,
                " ".join(",".join(place(*point)) for point in line.points),
                format_html_join(
                    "",
                    '<circle class="dot c{}" cx="{}" cy="{}" r="3"><title>{}, {} {}: {}</title></circle>',
                    [(number, *place(x, y), line.name, x_label, f"{x:g}", f"{y:.4g}") for x, y in line.points],
                ),
            )
            for number, line in enumerate(kept, start=1)
        ],
    )
    legend = format_html_join(
        "", '<span class="key c{}">{}</span>', [(number, line.name) for number, line in enumerate(kept, start=1)]
    )
    return format_html(
        '<figure class="chart"><svg viewBox="0 0 {} {}" role="img" aria-label="{} by {}">{}{}{}</svg>'
        '<figcaption><span class="muted">{} by {}</span>{}</figcaption></figure>',
        WIDTH,
        HEIGHT,
        y_label,
        x_label,
        grid,
        ticks,
        curves,
        y_label,
        x_label,
        legend,
    )


def draw_bands(shares: Sequence[tuple[int | None, float]], *, label: str) -> SafeString:
    """One stacked bar of difficulty bands, widths proportional to `shares`; band None is "unknown"."""
    total = sum(share for _, share in shares)
    if total <= 0:
        return format_html('<p class="muted">{}</p>', f"{label}: nothing yet.")
    parts, across = [], 0.0
    for band, share in shares:
        if share <= 0:
            continue
        width = 100 * share / total
        name = f"band {band}" if band else "band unknown"
        parts.append((f"{across:.2f}", f"{width:.2f}", band or 0, name, f"{share:,.0f}", f"{width:.0f} %"))
        across += width
    blocks = format_html_join(
        "",
        '<rect x="{}" width="{}" height="12" class="f{}"><title>{}: {} ({})</title></rect>',
        parts,
    )
    spoken = ", ".join(f"{name} {percent}" for _, _, _, name, _, percent in parts)
    return format_html(
        '<svg class="bands" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        f"{label}: {spoken}",
        blocks,
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
