"""The client as a witness: a small program on the client machine asks the address without a pause, and is believed.

Every 50 ms (on slow machines 250) it opens a TCP connection and sends a datagram, each from a fresh port, and says
something on a long TCP connection and on a long UDP flow (``observer.pl``). Not iperf3: its server answers one client
at a time and refuses bare connections by chance.
"""

from __future__ import annotations

import shlex
import threading
import time
from pathlib import Path

from metallab import errors
from metallab.cluster import tuning
from metallab.drills import timeline
from metallab.drills.timeline import ArpClaim, Probe
from metallab.errors import LabError
from metallab.run import pace
from metallab.run.result import Runner
from metallab.run.wait import NotYet, until

EVERY, EVERY_SLOW = 0.05, 0.25
"""Seconds between two probes of a kind: what an outage can be told to, on ordinary machines and on slow ones.

Forty connections a second are more than an emulated node can answer: it was busy with nothing else.
"""
LIMIT = 1.0
"""Seconds after which no answer is a failure: the client's kernel repeats a SYN only then."""
LONGEST_SECONDS = 900.0
"""A watch that nobody ends, ends itself."""
BEGIN_SECONDS = 10.0
ASK_SECONDS = 10.0
CLOCK_TRIES = 5
PROGRAM = Path(__file__).with_name("observer.pl")


class Observer:
    """A watch on one address from one machine; use it as a context manager."""

    def __init__(self, client: Runner, address: str, port: int, interface: str) -> None:
        self._client = client
        self._address = address
        self._argv = ["perl", "-", address, str(port), str(every()), str(LIMIT), interface]
        self._lines: list[str] = []
        self._failed: LabError | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._ended = False
        self.offset, self.uncertain = 0.0, 0.0

    def __enter__(self) -> Observer:  # noqa: PYI034 - typing.Self came with Python 3.11
        """Begin to watch; return when the first answers are in. Raises LAB-DRL-002 when it cannot be done."""
        self.offset, self.uncertain = clock(self._client)
        self._thread.start()

        def begun() -> None:
            self._require()
            if not any(line.startswith("probe ") for line in list(self._lines)):
                raise NotYet("it has said nothing")

        try:
            until(begun, timeout=BEGIN_SECONDS, what="the observer to begin", entry=errors.DRILL_OBSERVER)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the watch; what was seen stays. A client that is gone ends it by itself."""
        self._ended = True
        pid = next((line.split()[1] for line in self.lines if line.startswith("pid ")), None)
        if pid is not None and self._thread.is_alive():
            try:
                self._client.run(["kill", "-TERM", pid], timeout=ASK_SECONDS, check=False)
            except LabError as error:
                self._failed = self._failed or error
        self._thread.join(timeout=ASK_SECONDS)

    @property
    def command(self) -> str:
        """Return what is run on the client."""
        return f"{shlex.join(self._argv)} <{PROGRAM.name}"

    @property
    def lines(self) -> list[str]:
        """Return what the observer has said so far, without an end that was cut off."""
        return list(self._lines)

    def now(self) -> float:
        """Return the client's time."""
        return time.time() + self.offset

    def seen(self) -> tuple[tuple[Probe, ...], tuple[ArpClaim, ...]]:
        """Return all that was seen so far. Raises LAB-DRL-002 when the watch has broken off."""
        self._require()
        return timeline.parse(self.lines, self._address)

    def probes(self) -> tuple[Probe, ...]:
        """Return the probes that were decided so far."""
        return self.seen()[0]

    def _watch(self) -> None:
        program = PROGRAM.read_text(encoding="utf-8")
        try:
            done = self._client.run(
                self._argv, timeout=LONGEST_SECONDS, input=program, check=False, on_line=self._lines.append
            )
        except LabError as error:
            self._failed = error
            return
        if not self._ended:
            what = f"the observer ended by itself with status {done.rc}"
            self._failed = LabError(errors.DRILL_OBSERVER, what, where=self._client.name, detail=done.stderr)

    def _require(self) -> None:
        if self._failed is not None:
            raise self._failed


def every() -> float:
    """Return the seconds between two probes of a kind in this lab."""
    return EVERY_SLOW if tuning.of(pace.own()).slow else EVERY


def clock(client: Runner) -> tuple[float, float]:
    """Return how far a machine's clock is ahead of this host's, and how wrong that may be, in seconds.

    Of several answers the quickest is the best: the machine looked at its clock at some moment in between.
    """
    answers = []
    for _ in range(CLOCK_TRIES):
        before = time.time()
        said = client.run(["date", "+%s.%N"], timeout=ASK_SECONDS).stdout.strip()
        half = (time.time() - before) / 2
        try:
            answers.append((half, float(said) - (before + half)))
        except ValueError as error:
            raise LabError(errors.DRILL_OBSERVER, f"date says {said!r}", where=client.name) from error
    uncertain, ahead = min(answers)
    return ahead, uncertain
