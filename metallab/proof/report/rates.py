"""What the runs carried: rows for the tables, and which runs a plot shows. Pure; ``plots`` draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metallab.proof.records import Check, Flow, Report
from metallab.proof.report.words import count
from metallab.proof.units import rate

PROTOCOLS = ("TCP", "UDP")
SHOWN = 4
"""So many runs a plot can show and still be read; the table has them all."""


@dataclass(frozen=True)
class Run:
    """A flow and the check that measured it.

    ``straight``: to something behind the shared address, not through it. ``again``: the check had measured this way
    before. ``style`` is its class in the plot, empty when it is not shown there.
    """

    check: Check
    flow: Flow
    straight: bool
    again: bool
    style: str

    @property
    def path(self) -> str:
        """Return its way in words."""
        way = f"straight to {self.flow.target}" if self.straight else "through the shared address"
        return f"{way}, once more" if self.again else way

    @property
    def values(self) -> tuple[str, ...]:
        """Return the numbers of its row, in the order of the table's columns."""
        flow = self.flow
        received = rate(flow.received_bits_per_second)
        if flow.protocol == "TCP":
            return (received, "unknown" if flow.retransmits is None else f"{flow.retransmits}")
        offered = "unknown" if flow.offered_bits_per_second is None else rate(flow.offered_bits_per_second)
        jitter = "unknown" if flow.jitter_ms is None else f"{flow.jitter_ms:.3f} ms"
        lost = "unknown" if flow.lost is None or flow.sent is None else f"{flow.lost} of {flow.sent}"
        return (received, offered, lost, jitter)

    @property
    def words(self) -> str:
        """Return what its line in the plot shows."""
        rates = [item.bits_per_second for item in self.flow.intervals]
        between = f"{rate(min(rates))} to {rate(max(rates))}"
        return f"{self.check.id} ({self.path}): {count(len(rates), 'interval')}, {between}"


@dataclass(frozen=True)
class Group:
    """The runs of one protocol."""

    protocol: str
    columns: tuple[str, ...]
    runs: tuple[Run, ...]

    @property
    def shown(self) -> tuple[Run, ...]:
        """Return the runs that the plot shows."""
        return tuple(run for run in self.runs if run.style)

    @property
    def offered(self) -> float | None:
        """Return the rate the shown runs offered, when they all offered the same."""
        rates = {run.flow.offered_bits_per_second for run in self.shown}
        return rates.pop() if len(rates) == 1 else None

    @property
    def words(self) -> str:
        """Return the plot in words."""
        runs = "; ".join(run.words for run in self.shown)
        offered = f" The rate offered was {rate(self.offered)}." if self.offered is not None else ""
        return f"{self.protocol}, what the client sent in each interval. {runs}.{offered}"


def groups(report: Report) -> tuple[Group, ...]:
    """Return the runs by protocol. A protocol nobody measured has no group."""
    made = (_group(report, protocol) for protocol in PROTOCOLS)
    return tuple(group for group in made if group.runs)


def _group(report: Report, protocol: str) -> Group:
    found = [(check, flow) for check in report.checks for flow in check.flows if flow.protocol == protocol]
    # A run of one interval is a dot, not a course.
    lines = [flow for _, flow in found if len(flow.intervals) > 1][:SHOWN]
    styles = {id(flow): f"run-{number}" for number, flow in enumerate(lines)}
    ways: set[tuple[str, str]] = set()
    runs: list[Run] = []
    for check, flow in found:
        way = (check.id, flow.target)
        runs.append(Run(check, flow, _host(flow) != report.address, way in ways, styles.get(id(flow), "")))
        ways.add(way)
    columns = ("Received", "Retransmits") if protocol == "TCP" else ("Received", "Offered", "Lost of sent", "Jitter")
    return Group(protocol, columns, tuple(runs))


def _host(flow: Flow) -> str:
    return flow.target.rpartition(":")[0] or flow.target


def left_out(runs: Sequence[Run]) -> str:
    """Return which runs are in the table only."""
    names = [run.check.id for run in runs if not run.style]
    return f"Only in the table: {', '.join(dict.fromkeys(names))}." if names else ""
