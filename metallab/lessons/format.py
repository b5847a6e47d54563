"""A lesson's folder: ``lesson.yaml``, typed and strict, a text and a solution for each step, and what sets the start.

Nothing of a network is written into a lesson: its texts, manifests and checks name values in braces (``{VIP}``), and
its scripts get the same names as variables. See docs/lessons.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metallab import errors, paths
from metallab.config import Lab
from metallab.errors import LabError

NAMESPACE = "lesson"
"""What a lesson and its learner make lives here, so that one deletion takes it away."""
PLACEHOLDER = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")
Named = Annotated[str, Field(pattern=r"^([a-z0-9-]+/)?[a-z0-9-]+$")]
"""A service or such, ``namespace/name``; without a namespace the lesson's own."""
Text = Annotated[str, Field(min_length=1)]
Link = Annotated[str, Field(pattern=r"^https://\S+$")]
FactName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Check(_Strict):
    """What every check may have: words for what it means to a learner when it does not hold (never how to mend it)."""

    otherwise: str = ""


class ObjectCheck(_Check):
    """An object of the cluster: that it is there or not, and what stands in some of its fields (dotted paths)."""

    check: Literal["object"]
    kind: Literal["Deployment", "IPAddressPool", "L2Advertisement", "Node", "Pod", "Service"]
    name: Named
    absent: bool = False
    fields: Mapping[str, str | int | bool | list[str]] = {}


class AddressCheck(_Check):
    """The address a service has: none, one address, or any of a range."""

    check: Literal["address"]
    service: Named
    given: bool = True
    equals: str = ""
    within: str = ""


class AnnouncedCheck(_Check):
    """Who answers ARP for an address (or a service's), asked from the client.

    ``by`` is ``nobody``, ``one`` node, the ``elected`` one, the node of the ``server`` behind the service, another node
    than the shared address's (``other``), or a machine's name.
    """

    check: Literal["announced"]
    address: str = ""
    service: Named | None = None
    by: Text


class Iperf3Check(_Check):
    """iperf3 from the client machine: it works, or it cannot make its TCP connection."""

    check: Literal["iperf3"]
    protocol: Literal["TCP", "UDP"]
    works: bool = True


class SourceCheck(_Check):
    """Which source address the echo server behind a service sees when the client asks: the client's, or a node's."""

    check: Literal["source"]
    service: Named
    sees: Literal["client", "node"]


class ServerCheck(_Check):
    """Where the one ready pod of a Deployment runs: not on the machine named."""

    check: Literal["server"]
    deployment: Named
    never: str = ""


class ProcessCheck(_Check):
    """Whether a program runs on a machine, asked on the machine: the API server's word can be 40 s old."""

    check: Literal["process"]
    machine: str
    program: Text
    running: bool


class NeighbourCheck(_Check):
    """The client's own entry for an address in its neighbour table: not this MAC."""

    check: Literal["neighbour"]
    address: str
    never: str


class AnswerCheck(_Check):
    """What the learner says, compared with what the lab shows at this moment."""

    check: Literal["answer"]
    asks: Literal["announcer", "first-elsewhere", "successor", "outage", "source", "reason", "fact"]
    about: str = ""
    """An address, a service or a fact's name."""


Check = Annotated[
    ObjectCheck
    | AddressCheck
    | AnnouncedCheck
    | Iperf3Check
    | SourceCheck
    | ServerCheck
    | ProcessCheck
    | NeighbourCheck
    | AnswerCheck,
    Field(discriminator="check"),
]


class StepFile(_Strict):
    """A step as ``lesson.yaml`` has it; hints go from vague to exact."""

    title: Text
    question: str = ""
    checks: Annotated[tuple[Check, ...], Field(min_length=1)]
    hints: Annotated[tuple[Text, ...], Field(min_length=2)]


class Leftover(_Strict):
    """An object outside the lesson's namespace that the learner is asked to make; the reset removes it."""

    kind: Literal["IPAddressPool", "L2Advertisement"]
    name: Named


class LessonFile(_Strict):
    """``lesson.yaml``."""

    title: Text
    summary: Text
    minutes: Annotated[int, Field(ge=5, le=120)]
    workers: Annotated[int, Field(ge=1, le=8)] = 2
    example: bool = True
    """Whether the iperf3 example is deployed at the start."""
    server: bool = False
    """Whether the echo server of ``lessons/echo.yaml`` runs in the lesson's namespace at the start."""
    access: Literal["admin", "namespace"] = "admin"
    """Whether a learner needs the whole cluster, or gets along with the lesson's namespace."""
    facts: tuple[FactName, ...] = ()
    """What ``start.sh`` prints as NAME=value and the lab keeps."""
    begins: tuple[Check, ...] = ()
    """What has to hold before the learner begins."""
    makes: tuple[Leftover, ...] = ()
    links: Annotated[Mapping[str, Link], Field(min_length=2)]
    steps: Annotated[tuple[StepFile, ...], Field(min_length=2)]


@dataclass(frozen=True)
class Step:
    """A step with its texts."""

    number: int
    title: str
    question: str
    checks: tuple[Check, ...]
    hints: tuple[str, ...]
    text: str
    solution: Path


@dataclass(frozen=True)
class Lesson:
    """A lesson, whole."""

    folder: Path
    number: int
    settings: LessonFile
    intro: str
    finish: str
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """Return the folder's name."""
        return self.folder.name

    @property
    def start(self) -> Path | None:
        """Return the script that makes the start from the lab as it is after the bring-up, if the lesson has one."""
        script = self.folder / "start.sh"
        return script if script.exists() else None


def shelf(root: Path | None = None) -> tuple[Lesson, ...]:
    """Return every lesson, in order. Raises LAB-LSN-003 for one that cannot be read."""
    base = root or paths.repo_root() / "lessons"
    return tuple(read(folder) for folder in sorted(base.iterdir()) if folder.is_dir())


def find(which: str, root: Path | None = None) -> Lesson:
    """Return the lesson of that number or name. Raises LAB-LSN-001 when there is none."""
    lessons = shelf(root)
    for lesson in lessons:
        if which in (str(lesson.number), lesson.name):
            return lesson
    names = ", ".join(f"{lesson.number} ({lesson.name})" for lesson in lessons)
    raise LabError(errors.LESSON_UNKNOWN, f"no lesson is called {which!r}", fix=f"the lessons are: {names}")


def read(folder: Path) -> Lesson:
    """Read a lesson's folder. Raises LAB-LSN-003 with every problem of its file, or the first one of the folder."""
    number, _, name = folder.name.partition("-")
    if not (number.isdigit() and name):
        raise _unusable(folder, "a lesson's folder is called NUMBER-NAME")
    try:
        data = yaml.safe_load((folder / "lesson.yaml").read_text(encoding="utf-8"))
        settings = LessonFile.model_validate(data)
        steps = tuple(_step(folder, index, step) for index, step in enumerate(settings.steps, start=1))
        intro, finish = (_text(folder / f"{part}.md") for part in ("intro", "finish"))
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(folder, f"cannot read it: {error}") from error
    except yaml.YAMLError as error:
        raise _unusable(folder, f"lesson.yaml is not YAML: {error}") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise _unusable(folder, "lesson.yaml has values a lesson cannot use", "\n".join(problems)) from error
    lesson = Lesson(folder, int(number), settings, intro, finish, steps)
    unknown = sorted(set(_words(lesson)) - {*names(), *settings.facts})
    if unknown:
        raise _unusable(folder, f"nothing is called {', '.join(f'{{{word}}}' for word in unknown)}")
    return lesson


def _step(folder: Path, number: int, step: StepFile) -> Step:
    solution = folder / f"step-{number}.sh"
    # Opened now, so that a lesson without a solution is found before a learner is in the middle of it.
    _text(solution)
    text = _text(folder / f"step-{number}.md")
    return Step(number, step.title, step.question, step.checks, step.hints, text, solution)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _words(lesson: Lesson) -> Iterator[str]:
    """Yield every name in braces that a text, a hint or a check of the lesson uses."""
    texts = [lesson.intro, lesson.finish, lesson.settings.model_dump_json(), *(step.text for step in lesson.steps)]
    for text in texts:
        yield from PLACEHOLDER.findall(text)


def _unusable(folder: Path, what: str, detail: str = "") -> LabError:
    return LabError(errors.LESSON_UNUSABLE, what, where=str(folder), detail=detail)


# -- values in braces --------------------------------------------------------------------------------------------


def values(lab: Lab) -> dict[str, str]:
    """Return name -> value of what every text and script of a lesson can use.

    ``SECOND`` and ``PINNED`` are addresses of the pool besides the shared one; ``MORE`` is a range of a second pool.
    """
    pool = [lab.at(host) for host in range(lab.pool.first, lab.pool.last + 1)]
    spare = [address for address in pool if address != lab.vip]
    second, more = (spare[0], spare[1:]) if spare else (lab.vip, [])
    workers = [worker.name for worker in lab.workers]
    return {
        "VIP": str(lab.vip),
        "NETWORK": str(lab.network),
        "POOL": lab.pool_range,
        "POOL_FIRST": str(pool[0]),
        "SECOND": str(second),
        "MORE": f"{more[-4]}-{more[-1]}" if len(more) >= MORE else "",
        "PINNED": str(more[-1]) if more else "",
        "CLIENT": lab.client.name,
        "CLIENT_ADDRESS": str(lab.address(lab.client)),
        "CONTROL_PLANE": lab.control_plane.name,
        "NODES": " ".join(node.name for node in lab.nodes),
        "WORKERS": " ".join(workers),
    }


MORE = 4
"""Addresses in the second pool that a lesson lets its learner make."""


def names() -> frozenset[str]:
    """Return the names that :func:`values` has for every lab."""
    return frozenset(values(Lab()))


def fill(text: str, known: Mapping[str, str]) -> str:
    """Return text with the names in braces replaced; one that is not known (yet) stays."""
    return PLACEHOLDER.sub(lambda match: known.get(match[1], match[0]), text)
