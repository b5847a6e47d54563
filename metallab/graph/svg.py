"""A picture as one SVG that needs nothing else: machines along the segment, addresses below those who announce them.

The drawing of a report is another one: it shows one address and what a proof knows of it, within the report's page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from metallab.graph.picture import Address, Picture, Place, one_line, told

LETTER, PADDING, LINE, GAP, EDGE = 7.3, 12.0, 18.0, 24.0, 20.0
"""Of a 12-pixel monospaced letter the width, and of boxes their inside and the space between."""
STUB, NARROWEST, HEAD, ROOM = 30.0, 150.0, 70.0, 60.0
STYLE = """
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #111 }
.head { font-size: 16px; font-weight: bold } .first { font-weight: bold } .quiet { fill: #444 }
.box { stroke-width: 1.5 } .node { fill: #e8f0fe; stroke: #1a56b0 } .other { fill: #f4f4f4; stroke: #666 }
.address { fill: #e6f4ea; stroke: #19703a } .down { fill: #fdecea; stroke: #b3261e; stroke-dasharray: 5 3 }
.wire { stroke: #555; stroke-width: 2; fill: none } .bus { stroke: #333; stroke-width: 5 }
.way { stroke: #19703a; stroke-width: 2.5; fill: none } .planned { stroke-dasharray: 6 4 }
"""


@dataclass(frozen=True)
class _Box:
    kind: str
    lines: tuple[str, ...]

    @property
    def width(self) -> float:
        return max(NARROWEST, max(map(len, self.lines)) * LETTER + 2 * PADDING)

    @property
    def height(self) -> float:
        return len(self.lines) * LINE + 2 * PADDING - 4


def svg(picture: Picture) -> str:
    """Return the drawing's text: the same for the same picture."""
    above = [picture.host, *(machine for machine in picture.machines if not machine.is_node)]
    below = [machine for machine in picture.machines if machine.is_node]
    rows = (
        [_of_place(one) for one in above],
        [_of_place(one) for one in below],
        [*map(_of_address, picture.addresses)],
    )
    texts = (len(picture.title) * LETTER * 1.35, len(picture.note) * LETTER)
    width = max([*(_width(row) for row in rows), *texts, 640.0]) + 2 * EDGE
    bus = HEAD + _height(rows[0]) + STUB
    tops = (bus - STUB, bus + STUB, bus + STUB + _height(rows[1]) + ROOM)
    bottom = tops[2] + _height(rows[2]) if picture.addresses else tops[1] + _height(rows[1])
    root = ET.Element(
        "svg", _numbers(xmlns="http://www.w3.org/2000/svg", role="img", width=width, height=bottom + EDGE)
    )
    root.set("viewBox", f"0 0 {width:g} {bottom + EDGE:g}")
    ET.SubElement(root, "title").text = one_line(picture.title)
    ET.SubElement(root, "desc").text = one_line(in_words(picture))
    ET.SubElement(root, "style").text = STYLE
    ET.SubElement(root, "rect", _numbers(width=width, height=bottom + EDGE, fill="#fff"))
    _write(root, "head", picture.title, EDGE, 28)
    _write(root, "quiet", picture.note, EDGE, 50)
    middles = [
        _row(root, row, width, top, up=number == 0) for number, (row, top) in enumerate(zip(rows, tops, strict=True))
    ]
    for middle in middles[0]:
        _line(root, "wire", middle, bus - STUB, middle, bus)
    for middle in middles[1]:
        _line(root, "wire", middle, bus, middle, bus + STUB)
    _line(root, "bus", EDGE, bus, width - EDGE, bus)
    _write(root, "first", picture.network, EDGE, bus - 8)
    where = dict(zip((one.name for one in below), zip(middles[1], rows[1], strict=True), strict=True))
    for address, end in zip(picture.addresses, middles[2], strict=True):
        for name in address.announcers:
            if name in where:
                start, box = where[name]
                _way(root, address, start, tops[1] + box.height, end, tops[2])
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def in_words(picture: Picture) -> str:
    """Return the drawing in words, for those who do not see it."""
    machines = "; ".join(f"{one.name} {one.address} {' '.join(one.lines)}".rstrip() for one in picture.machines)
    return f"{picture.note}. On the {picture.network}: {machines}. {'. '.join(told(picture))}."


def _of_place(place: Place) -> _Box:
    kind = "down" if place.down else "node" if place.is_node else "other"
    role = "" if place.role == place.name else place.role
    return _Box(kind, tuple(one_line(line) for line in (place.name, role, place.address, *place.lines) if line))


def _of_address(address: Address) -> _Box:
    nobody = () if address.announcers else ("nobody announces it",)
    return _Box("address", tuple(one_line(line) for line in (address.address, *address.services, *nobody)))


def _width(row: Sequence[_Box]) -> float:
    return sum(box.width for box in row) + GAP * max(0, len(row) - 1)


def _height(row: Sequence[_Box]) -> float:
    return max((box.height for box in row), default=0.0)


def _row(root: ET.Element, row: Sequence[_Box], width: float, y: float, *, up: bool) -> list[float]:
    """Draw boxes side by side in the middle, standing on ``y`` or hanging from it; return where each has its middle."""
    x, middles = (width - _width(row)) / 2, []
    for box in row:
        top = y - box.height if up else y
        ET.SubElement(
            root,
            "rect",
            {"class": f"box {box.kind}", **_numbers(x=x, y=top, width=box.width, height=box.height, rx=6)},
        )
        for number, line in enumerate(box.lines):
            _write(root, "first" if number == 0 else "", line, x + PADDING, top + PADDING + 10 + number * LINE)
        middles.append(x + box.width / 2)
        x += box.width + GAP
    return middles


def _way(root: ET.Element, address: Address, x: float, y: float, end: float, bottom: float) -> None:
    """Draw the way from an announcer to its address, with what it does beside it."""
    half = (y + bottom) / 2
    kind = "way planned" if address.planned else "way"
    ET.SubElement(root, "path", {"class": kind, "d": f"M{x:g} {y:g} V{half:g} H{end:g} V{bottom:g}"})
    _write(root, "quiet", address.word, end + 6, bottom - 8)


def _line(root: ET.Element, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
    ET.SubElement(root, "line", {"class": kind, **_numbers(x1=x1, y1=y1, x2=x2, y2=y2)})


def _write(root: ET.Element, kind: str, text: str, x: float, y: float) -> None:
    ET.SubElement(root, "text", {"class": kind, **_numbers(x=x, y=y)}).text = one_line(text)


def _numbers(**values: float | str) -> dict[str, str]:
    return {name: value if isinstance(value, str) else f"{value:g}" for name, value in values.items()}
