"""A picture as a mermaid flow chart, for papers that draw such (GitHub, GitLab and many editors do)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from metallab.graph.picture import Address, Picture, Place, one_line

STYLES = (
    "classDef member fill:#e8f0fe,stroke:#1a56b0,color:#111",
    "classDef other fill:#f4f4f4,stroke:#666,color:#111",
    "classDef address fill:#e6f4ea,stroke:#19703a,color:#111",
    "classDef down fill:#fdecea,stroke:#b3261e,color:#111,stroke-dasharray:4",
)


def mermaid(picture: Picture) -> str:
    """Return the chart's text. Names are labels only; what mermaid calls things by is counted."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield from ("---", f"title: {json.dumps(one_line(picture.title))}", "---", "flowchart TB")
    yield f"  %% {_comment(picture.note)}"
    yield f"  lan([{_label(picture.network)}])"
    yield from _box("host", picture.host)
    ids = {machine.name: f"m{number}" for number, machine in enumerate(picture.machines)}
    yield from (line for machine in picture.machines for line in _box(ids[machine.name], machine))
    for number, address in enumerate(picture.addresses):
        yield from _address(f"a{number}", address, ids)
    yield f"  note>{_label(picture.note)}]"
    yield "  class note other"
    yield from (f"  {style}" for style in STYLES)


def _box(key: str, place: Place) -> Iterator[str]:
    kind = "down" if place.down else "member" if place.is_node else "other"
    yield f"  {key}[{_label(place.name, place.role if place.role != place.name else '', place.address, *place.lines)}]"
    # What is above the segment leads down to it, nodes hang below.
    yield f"  lan --- {key}" if place.is_node else f"  {key} --- lan"
    yield f"  class {key} {kind}"


def _address(key: str, address: Address, ids: dict[str, str]) -> Iterator[str]:
    nobody = () if address.announcers else ("nobody announces it",)
    yield f"  {key}{{{{{_label(address.address, *address.services, *nobody)}}}}}"
    yield f"  class {key} address"
    arrow = "-.->" if address.planned else "==>"
    for name in address.announcers:
        if name in ids:
            yield f"  {ids[name]} {arrow}|{_label(address.word)}| {key}"


def _label(*lines: str) -> str:
    """Return lines as one quoted label. Whatever mermaid or HTML could take for its own is written by its number."""
    return '"' + "<br/>".join(_escaped(one_line(line)) for line in lines if line) + '"'


def _escaped(text: str) -> str:
    return re.sub(r"[^\w .,:/()\-]", lambda found: f"#{ord(found.group())};", text, flags=re.ASCII)


def _comment(text: str) -> str:
    """Return text for a comment, where braces begin what older mermaids take for settings."""
    return re.sub(r"[{}]", " ", one_line(text))
