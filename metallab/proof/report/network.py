"""Where everything stands in the drawing of the lab network. Pure: a template draws it.

There are two drawings of the same network: a wide one, with the segment across, and a tall one for phones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metallab.proof.records import Picture, Place
from metallab.proof.units import listed

WIDE, TALL = 960, 340
IN_A_ROW = 4
"""So many machines fit under the segment of the wide drawing; the others stand above it, beside the client."""
BOX_WIDTH, BOX_GAP = 200, 16
PADDING, FIRST_LINE, LINE = 10, 22, 18
MARK_HEIGHT = 22
STUB = 36
EDGE = 8
LABEL_WIDTH = 190
PER_LETTER, AROUND = 6.4, 14
"""About the width of a letter of a mark, and what stands around its words."""
CLIENT = "client"


@dataclass(frozen=True)
class Text:
    """A line of words at its place; ``width`` is that of the frame around it, if it has one."""

    kind: str
    words: str
    x: float
    y: float
    width: float = 0.0


@dataclass(frozen=True)
class Box:
    """A machine's box, the stub to the segment, what is known of the machine, and what sets it apart."""

    place: Place
    x: float
    y: float
    width: float
    height: float
    stub: tuple[float, float, float, float]
    lines: tuple[Text, ...]
    marks: tuple[Text, ...]


@dataclass(frozen=True)
class Drawing:
    """A whole drawing. ``bus`` is the segment; ``way`` leads from the client to the machine that answers ARP."""

    name: str
    width: float
    height: float
    bus: tuple[float, float, float, float]
    label: Text
    boxes: tuple[Box, ...]
    way: str


def drawings(picture: Picture, address: str) -> tuple[Drawing, ...]:
    """Return the wide and the tall drawing, or none when the run recorded no machine."""
    if not picture.places:
        return ()
    return (_wide(picture, address), _tall(picture, address))


def words(picture: Picture, address: str) -> str:
    """Return the drawing in words, for those who do not see it."""
    told = [f"{place.name or 'a machine'} ({', '.join(_known(place, address))})" for place in picture.places]
    return f"One network segment, {picture.network}, connects {listed(told)}." if told else ""


def _known(place: Place, address: str) -> list[str]:
    facts = [
        "" if place.role == place.name else place.role,
        place.address,
        place.mac and f"MAC {place.mac}",
        f"answers ARP for {address}" if place.announces else "",
        "elected by MetalLB" if place.elected else "",
        "runs the iperf3 server" if place.serves else "",
    ]
    return [fact for fact in facts if fact] or ["nothing else is known"]


def _wide(picture: Picture, address: str) -> Drawing:
    clients = [place for place in picture.places if place.role == CLIENT]
    nodes = [place for place in picture.places if place.role != CLIENT]
    above, below = [*clients, *nodes[IN_A_ROW:]], nodes[:IN_A_ROW]
    width = max(WIDE, max(len(above), len(below)) * (BOX_WIDTH + BOX_GAP))
    bus = EDGE + STUB + max([_height(place) for place in above], default=0)
    boxes = [
        *_row(above, address, width, lambda height: (bus - STUB - height, bus - STUB, bus)),
        *_row(below, address, width, lambda _height: (bus + STUB, bus + STUB, bus)),
    ]
    bottom = max([bus, *(box.y + box.height for box in boxes)]) + EDGE
    first = boxes[0].stub[0] if above else width
    label = Text("", f"L2 segment {picture.network}", EDGE if first > LABEL_WIDTH else first + PADDING, bus - PADDING)
    return Drawing("wide", width, bottom, (EDGE, bus, width - EDGE, bus), label, tuple(boxes), _way(boxes))


def _row(
    places: Sequence[Place], address: str, width: float, rows: Callable[[float], tuple[float, float, float]]
) -> list[Box]:
    """Return boxes side by side; ``rows`` says where one of a height begins, where its stub does, where that ends."""
    boxes = []
    for number, place in enumerate(places):
        middle = width * (number + 0.5) / len(places)
        top, near, bus = rows(_height(place))
        boxes.append(_box(place, address, middle - BOX_WIDTH / 2, top, BOX_WIDTH, (middle, near, middle, bus)))
    return boxes


def _tall(picture: Picture, address: str) -> Drawing:
    bus, x, y = 14.0, 40.0, 28.0
    boxes: list[Box] = []
    for place in sorted(picture.places, key=lambda place: place.role != CLIENT):
        stub = (x, y + FIRST_LINE, bus, y + FIRST_LINE)
        boxes.append(_box(place, address, x, y, TALL - x - EDGE, stub))
        y += boxes[-1].height + BOX_GAP
    label = Text("", f"L2 segment {picture.network}", EDGE, 16)
    return Drawing("tall", TALL, y, (bus, 28.0, bus, y - BOX_GAP), label, tuple(boxes), _way(boxes))


def _box(place: Place, address: str, x: float, y: float, width: float, stub: tuple[float, float, float, float]) -> Box:
    inside, below = x + PADDING, y + FIRST_LINE
    lines = _lines(place)
    texts = tuple(Text(kind, said, inside, below + number * LINE) for number, (kind, said) in enumerate(lines))
    below += (len(lines) - 1) * LINE + PADDING
    marks = tuple(
        Text(
            kind, said, inside, below + number * MARK_HEIGHT, min(len(said) * PER_LETTER + AROUND, width - 2 * PADDING)
        )
        for number, (kind, said) in enumerate(_marks(place, address))
    )
    return Box(place, x, y, width, _height(place), stub, texts, marks)


def _lines(place: Place) -> list[tuple[str, str]]:
    role = "" if place.role == place.name else place.role
    told = [("name", place.name or "?"), ("quiet", role), ("mono", place.address), ("mono quiet", place.mac)]
    return [(kind, said) for kind, said in told if said]


def _marks(place: Place, address: str) -> list[tuple[str, str]]:
    told = [
        ("announces", f"announces {address}", place.announces),
        ("elected", "elected by MetalLB", place.elected),
        ("serves", "runs the iperf3 server", place.serves),
    ]
    return [(kind, said) for kind, said, true in told if true]


def _height(place: Place) -> float:
    marks = len(_marks(place, ""))
    return FIRST_LINE + (len(_lines(place)) - 1) * LINE + PADDING + marks * MARK_HEIGHT + (4 if marks else 0)


def _way(boxes: Sequence[Box]) -> str:
    """Return the way from the first client to the one machine that answers, as the points of a line."""
    client = next((box.stub for box in boxes if box.place.role == CLIENT), None)
    answers = [box.stub for box in boxes if box.place.announces]
    if client is None or len(answers) != 1:
        return ""
    (there,) = answers
    points = (client[:2], client[2:], there[2:], there[:2])
    return " ".join(f"{x:g},{y:g}" for x, y in points)
