"""The observer, run for real against servers on loopback: what it says is what happened."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from metallab import errors
from metallab.drills import observer, timeline
from metallab.drills.observer import Observer
from metallab.errors import LabError
from metallab.run import local, pace
from metallab.run.result import Argv, OnLine, Result
from metallab.run.wait import NotYet, until


class Here:
    """This host as the client machine."""

    name = "client"

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the word of metallab.run.local.run
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        return local.run(argv, timeout=timeout, input=input, check=check, on_line=on_line)


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        words = self.path.partition("=")[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        self.wfile.write(words)

    def log_message(self, *_: Any) -> None:
        pass


class Echo:
    """What agnhost netexec does as far as it is asked: HTTP and UDP on one port; ``deaf`` lets UDP go unheard."""

    def __init__(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.port: int = self._http.server_address[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._udp.settimeout(0.1)
        self.deaf = False
        self._ended = False
        self._threads = [threading.Thread(target=self._http.serve_forever), threading.Thread(target=self._talk)]
        for thread in self._threads:
            thread.start()

    def _talk(self) -> None:
        while not self._ended:
            with contextlib.suppress(TimeoutError):
                words, whom = self._udp.recvfrom(2048)
                if not self.deaf:
                    self._udp.sendto(words.partition(b" ")[2], whom)

    def close(self) -> None:
        self._ended = True
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join()
        self._udp.close()


@pytest.fixture
def server() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


def counted(watch: Observer, kind: str) -> Counter[str]:
    return Counter(one.how for one in watch.probes() if one.kind == kind)


def wait_for(watch: Observer, kind: str, how: str, number: int = 3) -> None:
    def check() -> None:
        if counted(watch, kind)[how] < number:
            raise NotYet(f"{kind}: {dict(counted(watch, kind))}")

    until(check, timeout=20, what=f"{kind} {how}")


def test_every_kind_of_probe_is_answered_by_a_server_that_is_there(server: Echo) -> None:
    with Observer(Here(), "127.0.0.1", server.port, "") as watch:
        for kind in timeline.KINDS:
            wait_for(watch, kind, "ok", 10)
        for kind in timeline.KINDS:
            assert set(counted(watch, kind)) == {"ok"}
    assert abs(watch.offset) < 1
    assert not timeline.parse(watch.lines, "127.0.0.1")[1]


def test_where_nobody_listens_everything_is_refused() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with Observer(Here(), "127.0.0.1", held.getsockname()[1], "") as watch:
            for kind in timeline.KINDS:
                wait_for(watch, kind, "refused")
            assert not any(one.ok for one in watch.probes())


def test_what_is_not_heard_runs_out_of_time_and_the_others_go_on(server: Echo) -> None:
    with Observer(Here(), "127.0.0.1", server.port, "") as watch:
        wait_for(watch, "udp", "ok")
        server.deaf = True
        wait_for(watch, "udp", "timeout")
        wait_for(watch, "udp-long", "timeout")
        assert set(counted(watch, "tcp")) == {"ok"}
        server.deaf = False
        before = counted(watch, "udp-long")["ok"]
        wait_for(watch, "udp-long", "ok", before + 3)


def test_an_observer_that_breaks_off_is_an_error_and_no_silence() -> None:
    # No such card: tcpdump ends at once, and with it the observer.
    with pytest.raises(LabError) as caught, Observer(Here(), "127.0.0.1", 1, "no-such-card") as watch:
        until(lambda: _still(watch), timeout=20, what="it to break off")
    assert caught.value.entry is errors.DRILL_OBSERVER


def _still(watch: Observer) -> None:
    watch.probes()
    raise NotYet("it goes on")


def test_a_clock_that_says_no_time_is_an_error() -> None:
    class Odd(Here):
        def run(self, argv: Argv, **_: Any) -> Result:
            return Result(("date",), 0, "tea time\n", "", 0.0, "client")

    with pytest.raises(LabError) as caught:
        observer.clock(Odd())
    assert caught.value.entry is errors.DRILL_OBSERVER


@pytest.mark.parametrize(("slowness", "seconds"), [(1.0, 0.05), (2.9, 0.05), (12.0, 0.25)])
def test_slow_machines_are_asked_less_often(slowness: float, seconds: float) -> None:
    pace.settle([slowness])
    watch = Observer(Here(), "127.0.0.1", 1, "eth1")
    assert observer.every() == seconds
    assert watch.command.startswith(f"perl - 127.0.0.1 1 {seconds} ")
