"""What a drill is made of, what it is given, and how a fault is held: made, and undone whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from metallab import errors
from metallab.cluster import metallb_status
from metallab.config import Machine
from metallab.drills import journal
from metallab.drills.records import Floor
from metallab.drills.timeline import ArpClaim, Probe
from metallab.errors import LabError
from metallab.events import Events
from metallab.proof import probes
from metallab.proof.checks.scene import Seen
from metallab.proof.records import Evidence, Picture
from metallab.proof.subject import Subject
from metallab.run.ssh import SshRunner
from metallab.site import Site

Facts = Mapping[str, str]
"""What a drill found out before it broke anything, and all that its undoing needs: it is kept in a file."""
NOTHING: Facts = MappingProxyType({})
NODE, CARD = "node", "card"
"""The facts that name the machine that is worked on, and its card in the lab network."""
ECHO = "echo"
"""The fact that names the node on which the echo has to run."""
ASK_SECONDS = 60.0
"""How long a small command on a machine may take: while machines come and go, much else is going on."""
SETTLE_SECONDS = 1.0
"""After which every question that was on the way when a fault was made is answered, or is not."""
FREE = "free"
"""The fact that lets the echo run elsewhere, too, when it is driven away; its value does not matter."""


class NotPossible(Exception):
    """Raised by a drill whose precondition does not hold; its text completes "not run, because …"."""


@dataclass(frozen=True)
class Stage:
    """Everything a drill may touch. ``seen`` is the lab as the proof saw it just now: who answers, who serves."""

    site: Site
    subject: Subject
    events: Events
    seen: Picture

    @property
    def announcer(self) -> str:
        """Return the node whose MAC answered. Raises :class:`NotPossible` when nobody's did."""
        for place in self.seen.places:
            if place.announces:
                return place.name
        raise NotPossible("no node answered ARP for the address")

    @property
    def server(self) -> str:
        """Return the node the iperf3 server runs on. Raises :class:`NotPossible` when none was seen."""
        for place in self.seen.places:
            if place.serves:
                return place.name
        raise NotPossible("no iperf3 server was seen")

    def mac(self, node: str) -> str:
        """Return the MAC of a node's card in the lab network, as the proof read it."""
        return next(place.mac for place in self.seen.places if place.name == node)

    def heirs(self) -> Sequence[str]:
        """Return the workers that may announce when the announcer no longer can, the one elected next first.

        Raises :class:`NotPossible` when there is none.
        """
        cluster, speaker = self.site.cluster, f"component={metallb_status.SPEAKER}"
        pods = cluster.list("v1", "Pod", metallb_status.NAMESPACE, labels=speaker)
        left = set(metallb_status.candidates(cluster.list("v1", "Node"), pods)) - {self.announcer}
        found: list[str] = []
        while left:
            found.append(str(metallb_status.predicted_announcer(sorted(left), self.subject.address)))
            left.remove(found[-1])
        if not found:
            raise NotPossible("no other node may announce the address")
        return found

    def other_worker(self) -> str:
        """Return a worker that does not announce. Raises :class:`NotPossible` when there is none."""
        for machine in self.site.lab.workers:
            if machine.name != self.announcer:
                return machine.name
        raise NotPossible("there is no worker beside the announcer")

    def machine(self, name: str) -> Machine:
        """Return a machine of the lab by its name."""
        return self.site.lab.machine(name)

    def runner(self, name: str) -> SshRunner:
        """Return the way to a machine."""
        return self.site.runner(self.machine(name))

    def forget_address(self) -> None:
        """Let the client forget whose MAC the address has, so that it must ask, as a new client would."""
        client, address = self.subject.client, str(self.subject.address)
        words = ["ip", "neigh", "flush", "to", address, "dev", self.card(client.name)]
        client.run(words, timeout=ASK_SECONDS)

    def card(self, name: str) -> str:
        """Return the name of a machine's card in the lab network."""
        interfaces, _ = probes.nics(self.runner(name))
        return probes.holding(interfaces, self.site.lab.address(self.machine(name)), name).name


@dataclass(frozen=True)
class View:
    """What the client saw of one run. Times of ``probes`` and ``arp`` are the client's; the marks are, too.

    ``made`` is when making the fault began, ``held`` when it had ended, which takes seconds on slow machines.
    ``before`` is the MAC that answered until the fault, ``answering`` those that did at its end. ``noted`` is what the
    fault itself had to say, and ``evidence`` all that was asked while it lasted. ``owners``: MAC -> machine; ``floor``
    is how soon a dead speaker can be replaced.
    """

    probes: tuple[Probe, ...]
    arp: tuple[ArpClaim, ...]
    made: float
    undone: float
    ended: float
    before: str = ""
    answering: tuple[str, ...] = ()
    noted: Facts = field(default_factory=lambda: NOTHING)
    evidence: tuple[Evidence, ...] = ()
    owners: Facts = field(default_factory=lambda: NOTHING)
    floor: Floor | None = None
    held: float = 0.0

    @property
    def settled(self) -> float:
        """Return from when on the fault is felt by whoever asks."""
        return max(self.made + SETTLE_SECONDS, self.held)


@dataclass(frozen=True)
class Claim:
    """Something a drill shows: its id, in plain words, and how it is judged from what was seen."""

    id: str
    words: str
    judge: Callable[[View], Seen]


def nothing_to_undo(_stage: Stage, _facts: Facts) -> None:
    """Undo a fault that has put itself right already."""


@dataclass(frozen=True)
class Drill:
    """A fault, how it is made and undone, and what a client then has to see.

    ``fault`` is its id in the library of faults. ``look`` sees the preconditions and returns what the rest needs, or
    raises :class:`NotPossible`. ``undo`` is given nothing but those facts, may be called when nothing or only half of
    it was done, and returns when the lab works again. ``make`` returns what is to be noted.

    The client is watched for ``seconds``; with ``until_served`` only until it is served again after a failure.
    ``during`` is what is asked meanwhile instead of only waiting, and returns what is to be noted.
    """

    id: str
    fault: str
    words: str
    shows: str
    look: Callable[[Stage], Facts]
    make: Callable[[Stage, Facts], Facts | None]
    undo: Callable[[Stage, Facts], None]
    claims: tuple[Claim, ...]
    seconds: float
    until_served: bool = False
    during: Callable[[Stage, Facts], Facts] | None = None


@contextlib.contextmanager
def broken(drill: Drill, stage: Stage, facts: Facts) -> Iterator[Facts]:
    """Hold a fault for the block: written down, made, and undone however the block ends.

    Ctrl-C does not stop the undoing, only a second one does; then, as after kill -9, the record stays, and the next
    command undoes it (:func:`metallab.drills.play.heal`).
    """
    journal.write(stage.site.labdir, drill.id, facts)
    try:
        with stage.events.step(f"break: {drill.words}"):
            noted = drill.make(stage, facts)
        yield noted or NOTHING
    finally:
        undo(drill, stage, facts)


def undo(drill: Drill, stage: Stage, facts: Facts) -> None:
    """Undo a fault and cross it out; one Ctrl-C meanwhile is kept until that is done. Raises LAB-DRL-001."""
    interrupted = False
    for _ in range(2):
        try:
            with stage.events.step(f"undo: {drill.words}"):
                drill.undo(stage, facts)
        except KeyboardInterrupt:
            if interrupted:
                raise
            interrupted = True
            continue
        except LabError as error:
            where = f" on {error.where}" if error.where else ""
            what = f"{drill.id} could not be undone: {error.what}{where} ({error.entry.id})"
            raise LabError(errors.DRILL_NOT_UNDONE, what, detail=error.detail) from error
        break
    journal.write(stage.site.labdir, "", NOTHING)
    if interrupted:
        raise KeyboardInterrupt
