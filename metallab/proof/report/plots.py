"""Throughput over time as SVG, drawn by matplotlib without its global state.

Nothing in the picture has a colour, a font or an id of its own: elements have classes, and the page's style sheet says
the rest. So the same picture is right in light, in dark and on paper, any number of them fit into one page, and the
page's content security policy can forbid styles that are not its own.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metallab.proof.records import Interval
from metallab.proof.report.tracks import Track
from metallab.proof.units import rate_unit

WIDTH, HEIGHT = 400, 210
"""In CSS pixels. As narrow as that, labels can still be read on a phone."""
POINTS = 72
FONT_SIZE = 12
HEADROOM = 1.12
SVG = "http://www.w3.org/2000/svg"
UNUSED = (f"{{{SVG}}}defs", f"{{{SVG}}}metadata")
KEPT = ("viewBox", "d", "x", "y")
CLASS = re.compile(r"(run-\d+|offered|grid|axis)$")
ANCHOR = re.compile(r"text-anchor: (\w+)")


@dataclass(frozen=True)
class Line:
    """One run in a plot; ``style`` is the class that gives it colour and dashes."""

    style: str
    intervals: tuple[Interval, ...]


def throughput(lines: Sequence[Line], offered: float | None = None) -> str:
    """Return an SVG element: for each run its rate in every interval, and the rate offered as a line across."""
    top = max([item.bits_per_second for line in lines for item in line.intervals] + [offered or 0.0])
    scale, unit = rate_unit(top)
    with _figure() as (axes, done):
        for line in lines:
            edges = [edge for item in line.intervals for edge in (item.start, item.end)]
            rates = [item.bits_per_second / scale for item in line.intervals for _ in range(2)]
            axes.plot(edges, rates, gid=line.style, clip_on=False)
        if offered is not None:
            axes.axhline(offered / scale, gid="offered", clip_on=False, zorder=3)
        _dress(axes, top / scale, unit)
        axes.set_xlim(0, max([item.end for line in lines for item in line.intervals], default=1) or 1)
        return done()


def shares(tracks: Sequence[Track], marks: Sequence[float]) -> str:
    """Return an SVG element: each track's share over time in percent, and an upright line for each moment marked."""
    with _figure() as (axes, done):
        for number, track in enumerate(tracks):
            edges = [edge for start, _ in track.points for edge in (start, start + track.width)]
            # Lines of the same share are laid beside each other, or one would hide the other.
            values = [100 * share - 2 * number for _, share in track.points for _ in range(2)]
            axes.plot(edges, values, gid=track.style, clip_on=False)
        for moment in marks:
            axes.axvline(moment, gid="offered", clip_on=False, zorder=3)
        _dress(axes, 100, "% answered")
        # Room for those laid below the line of none: they would be drawn over the axis and its numbers.
        axes.set_ylim(bottom=-2 * len(tracks))
        times = [start for track in tracks for start, _ in track.points]
        axes.set_xlim(min(times, default=0), max(times, default=0) + 1)
        return done()


@contextlib.contextmanager
def _figure() -> Iterator[tuple[Axes, Callable[[], str]]]:
    """Give axes to draw in, and what makes an SVG element of them."""
    with mpl.rc_context():
        # A matplotlibrc of the user's must not change a report, nor the fonts of this host.
        mpl.rcdefaults()
        mpl.rc("svg", fonttype="none", hashsalt="metallab")
        mpl.rc("font", family="DejaVu Sans", size=FONT_SIZE)
        figure = Figure(figsize=(WIDTH / POINTS, HEIGHT / POINTS), layout="constrained")

        def done() -> str:
            figure.patch.set_visible(False)
            file = io.StringIO()
            figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
            return _bare(file.getvalue())

        yield figure.add_subplot(), done


def _dress(axes: Axes, top: float, unit: str) -> None:
    axes.set_ylim(0, top * HEADROOM or 1)
    axes.set_xlabel("seconds")
    axes.set_title(unit, loc="left", fontsize=FONT_SIZE)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(length=0)
    axes.grid(visible=True, axis="y")
    for line in axes.get_ygridlines():
        line.set_gid("grid")
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_gid("axis")
    axes.patch.set_visible(False)


def _bare(text: str) -> str:
    """Return the ``svg`` element without colours, fonts, ids and definitions; what had a gid has a class."""
    root = ET.fromstring(text)  # noqa: S314 - matplotlib wrote it a moment ago
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{SVG}}}")
        for child in [child for child in element if child.tag in UNUSED]:
            element.remove(child)
        attributes = dict(element.attrib)
        element.attrib.clear()
        element.attrib.update({name: _short(attributes[name]) for name in KEPT if name in attributes})
        if CLASS.match(attributes.get("id", "")):
            element.set("class", attributes["id"])
        anchor = ANCHOR.search(attributes.get("style", ""))
        if anchor:
            element.set("text-anchor", anchor[1])
    return ET.tostring(root, encoding="unicode")


def _short(numbers: str) -> str:
    """Return coordinates with one digit after the point: a tenth of a pixel is enough."""
    return re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.1f}", numbers).strip()
