"""The lab as a picture: as it is, as it is planned, and with names that mean something to whoever draws it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from metallab import graph
from metallab.cluster.metallb_status import MetallbStatus, ServiceStatus
from metallab.cluster.status import ClusterStatus, NodeStatus
from metallab.config import Lab, Machine
from metallab.graph import FORMATS
from metallab.graph.mermaid import mermaid
from metallab.graph.picture import Address, Picture, Place, live, planned
from metallab.graph.svg import svg
from metallab.overview import LabStatus, MachineStatus

LAB = Lab()
SVG = "{http://www.w3.org/2000/svg}"
STRANGE = 'a"b <c> &amp; #35; --> ]) }} `%%` | ; \n \x1b[31m ü'


def node(name: str) -> NodeStatus:
    return NodeStatus(name, True, "", "v1.37.2", None, (), "10.244.1.0/24", "containerd 2.4.2", "Debian", "6.1")  # noqa: FBT003


def drawn(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own drawing


def service(name: str, address: str | None, announcer: str | None) -> ServiceStatus:
    return ServiceStatus("default", name, ("5201/TCP",), address, announcer, None)


def seen(*services: ServiceStatus, down: str = "") -> LabStatus:
    machines = tuple(
        MachineStatus(
            one.name, one.role, str(LAB.address(one)), one.name != down, "running" if one.name != down else "off"
        )
        for one in LAB.machines
    )
    nodes = tuple(node(one.name) for one in LAB.nodes if one.name != down)
    metallb = MetallbStatus(installed=True, services=services)
    cluster = ClusterStatus("v1.37.2", nodes)
    return LabStatus(
        "metallab", "n", "p", machines, cluster, metallb, "a", None, f"machine {down}: off" if down else ""
    )


def test_who_announces_what_now() -> None:
    shared, other = str(LAB.vip), str(LAB.at(71))
    found = live(
        LAB,
        seen(
            service("tcp", shared, None),
            service("udp", shared, "worker-2"),
            service("web", other, None),
            service("new", None, None),
        ),
        "now",
    )
    assert found.title == "lab metallab, as seen at now"
    assert found.note == "all is well"
    assert found.addresses == (
        Address(shared, ("default/tcp 5201/TCP", "default/udp 5201/TCP"), ("worker-2",)),
        Address(other, ("default/web 5201/TCP",), ()),
    )
    text = mermaid(found)
    assert 'm2 ==>|"announces"| a0' in text
    assert "nobody announces it" in text
    assert "pool 192.168.96.64-192.168.96.95" in text


def test_a_machine_that_is_down_is_told_apart_in_words() -> None:
    found = live(LAB, seen(down="worker-1"), "now")
    (down,) = (machine for machine in found.machines if machine.down)
    assert (down.name, down.lines) == ("worker-1", ("off",))
    assert found.note == "first broken layer: machine worker-1: off"
    assert "class m1 down" in mermaid(found)
    assert "off" in "".join(drawn(svg(found)).itertext())


def test_without_a_lab_it_is_the_plan_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = graph.picture(LAB)
    assert found == planned(LAB, "the lab metallab is not up")
    for draw in FORMATS.values():
        assert "planned, not running: the lab metallab is not up" in draw(found)
        assert "is to announce" in draw(found)
    assert found.addresses[0].announcers == ("worker-2",), "what MetalLB's election comes to"


def test_without_workers_the_control_plane_is_to_announce() -> None:
    machines = (Machine(name="cp", role="control-plane", host=10), Machine(name="client", role="client", host=200))
    assert planned(Lab(machines=machines), "x").addresses[0].announcers == ("cp",)


def strange() -> Picture:
    host = Place(STRANGE, STRANGE, STRANGE, (STRANGE,))
    machines = tuple(Place(name, "worker", "10.0.0.1", (STRANGE,)) for name in ("end", "graph", "class", STRANGE))
    return Picture(
        STRANGE, STRANGE, STRANGE, host, machines, (Address(STRANGE, (STRANGE,), ("end", STRANGE, "nobody")),)
    )


STATEMENT = re.compile(
    r"""\ \ (?:
        %%\ [^{}]*                                            # a remark
      | (?:lan|host|note|[am]\d+) (?:\(\[|\[|\{\{|>) "[^"]*" (?:\]\)|\]|\}\})   # a shape with its label in quotes
      | (?:lan|host|m\d+)\ (?:---|==>|-\.->)(?:\|"[^"]*"\|)?\ (?:lan|host|[am]\d+)    # an edge
      | class\ (?:host|note|[am]\d+)\ (?:member|other|address|down)
      | classDef\ (?:member|other|address|down)\ [\w#:,-]+
    )""",
    re.VERBOSE,
)


@pytest.mark.parametrize(
    "picture", [planned(LAB, "x"), live(LAB, seen(service("a", "b", "worker-1")), "now"), strange()]
)
def test_every_line_of_the_chart_is_one_mermaid_knows(picture: Picture) -> None:
    """mermaid's own parser was shown these pictures by hand; this grammar is a narrow part of its."""
    head, title, tail, kind, *statements = mermaid(picture).splitlines()
    assert (head, tail, kind) == ("---", "---", "flowchart TB")
    assert title.startswith('title: "')
    for line in statements:
        assert STATEMENT.fullmatch(line), line
        for label in re.findall(r'"([^"]*)"', line):
            assert re.fullmatch(r"(?:[\w .,:/()\-]|<br/>|#\d+;)*", label, re.ASCII), label


def test_names_are_labels_only_and_come_back_from_them() -> None:
    text = mermaid(strange())
    assert "  m0[" in text
    assert "end[" not in text
    label = next(line for line in text.splitlines() if line.startswith("  m3["))
    said = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label)
    assert 'a"b <c> &amp; #35; --> ]) }} `%%` | ;' in said
    assert "m0 ==>" in text
    assert "m3 ==>" in text


def test_the_drawing_is_one_well_formed_document_whatever_the_names_are() -> None:
    root = drawn(svg(strange()))
    texts = [item.text or "" for item in root.iter(f"{SVG}text")]
    assert sum('a"b <c> &amp; #35;' in text for text in texts) >= 8
    assert all("\x1b" not in text and "\n" not in text for text in texts)
    assert {item.tag.removeprefix(SVG) for item in root.iter()} <= {
        *("svg", "title", "desc", "style", "rect", "line", "path", "text"),
    }
    assert root.get("role") == "img"


@pytest.mark.parametrize("workers", [0, 1, 9])
def test_boxes_stay_inside_and_apart_and_hold_their_words(workers: int) -> None:
    hosts = [Machine(name=f"worker-with-a-long-name{one}", role="worker", host=20 + one) for one in range(workers)]
    machines = (
        Machine(name="cp", role="control-plane", host=10),
        *hosts,
        Machine(name="client", role="client", host=200),
    )
    lab = Lab(machines=machines)
    root = drawn(svg(replace(planned(lab, "x"), addresses=(Address("10.0.0.70", ("s" * 80,), ("cp",)),))))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [
        tuple(float(item.attrib[key]) for key in ("x", "y", "width", "height"))
        for item in root.iter(f"{SVG}rect")
        if "x" in item.attrib
    ]
    assert len(boxes) == workers + 4
    for number, (x, y, wide, high) in enumerate(boxes):
        assert x >= 0
        assert y >= 0
        assert x + wide <= width
        assert y + high <= height
        for a, b, c, d in boxes[:number]:
            assert x >= a + c or a >= x + wide or y >= b + d or b >= y + high
    for text in root.iter(f"{SVG}text"):
        assert float(text.attrib["x"]) + len(text.text or "") * 7.3 <= width
