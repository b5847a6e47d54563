"""The lab at a glance: the lowest broken layer first, what will break said, and no more asked than needed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from metallab import console, errors
from metallab.cluster.certificates import Certificate
from metallab.cluster.metallb_status import MetallbStatus, ServiceStatus
from metallab.cluster.status import ClusterStatus, NodeStatus, SystemPart
from metallab.cluster.workloads import Rollout
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import silent
from metallab.host.provider import Choice
from metallab.machines.labdir import LabDir
from metallab.overview import Observer
from metallab.tasks import lab as tasks
from metallab.tasks._task import Session

LAB = Lab()
GOOD = Certificate("API server", "control-plane", "2027-11-27T00:00:00Z", 364)
READY = Rollout(1, 1, settled=True)


def node(name: str, version: str = "v1.37.2") -> NodeStatus:
    return NodeStatus(name, True, "", version, None, (), None, "containerd 2.4.2", "Debian 12", "6.1")  # noqa: FBT003


CLUSTER = ClusterStatus(
    "v1.37.2",
    tuple(node(one.name) for one in LAB.nodes),
    (SystemPart("coredns", READY), SystemPart("kube-proxy", READY)),
)
SERVICE = ServiceStatus("default", "iperf3-server-tcp", ("5201/TCP",), str(LAB.vip), "worker-2", "worker-2")
METALLB = MetallbStatus(installed=True, version="v0.15.2", controller=READY, speaker=READY, services=(SERVICE,))


@dataclass
class Runner:
    up: bool = True
    asked: int = 0

    def answers(self, _timeout: float) -> bool:
        self.asked += 1
        return self.up


@dataclass
class Vagrant:
    asked: int = 0

    def states(self) -> dict[str, str]:
        self.asked += 1
        return {machine.name: "stopped" for machine in LAB.machines}


@dataclass
class Here:
    """A site whose machines answer as they are told to."""

    labdir: LabDir
    lab: Lab = LAB
    choice: Choice = field(default_factory=lambda: Choice("docker", "a test"))
    vagrant: Vagrant = field(default_factory=Vagrant)
    runners: dict[str, Runner] = field(default_factory=lambda: {one.name: Runner() for one in LAB.machines})

    def runner(self, machine: Any) -> Runner:
        return self.runners[machine.name]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the cluster says, and what the nodes' certificates are."""
    said: dict[str, Any] = {"cluster": CLUSTER, "metallb": METALLB, "certificates": (GOOD,), "read": 0}

    def of_node(*_: Any) -> tuple[Certificate, ...]:
        said["read"] += 1
        found: tuple[Certificate, ...] = said["certificates"]
        return found

    monkeypatch.setattr("metallab.cluster.status.cluster_status", lambda _cluster: said["cluster"])
    monkeypatch.setattr("metallab.cluster.metallb_status.status", lambda _cluster, _lab: said["metallb"])
    monkeypatch.setattr("metallab.cluster.certificates.of_node", of_node)
    return said


@pytest.fixture
def here(tmp_path: Path, read: dict[str, Any]) -> Here:
    return Here(LabDir(tmp_path))


def observer(here: Here) -> Observer:
    return Observer(here)  # type: ignore[arg-type]


def test_a_lab_that_is_well(here: Here) -> None:
    seen = observer(here).look()
    assert (seen.broken, seen.warnings, seen.announcer) == ("", (), "worker-2")
    assert here.vagrant.asked == 0
    assert seen.ending() == ["all is well"]
    assert seen.versions() == {
        "kubernetes": "v1.37.2",
        "kubelet": "v1.37.2",
        "runtime": "containerd 2.4.2",
        "system": "Debian 12",
        "kernel": "6.1",
        "metallb": "v0.15.2",
    }
    document = json.loads(json.dumps(seen.to_dict()))
    assert document["schema"] == "metallab.status/1"
    assert document["machines"][0]["up"] is True
    assert (
        "cluster",
        "certificates",
        "3 read; the first to end: API server on control-plane: 364 days left",
    ) in seen.lines()


def test_nodes_that_differ_are_all_told(here: Here, read: dict[str, Any]) -> None:
    read["cluster"] = replace(CLUSTER, nodes=(node("a", "v1.37.2"), node("b", "v1.36.3")))
    assert observer(here).look().versions()["kubelet"] == "v1.36.3, v1.37.2"
    read["cluster"] = ClusterStatus(problem="no answer")
    assert observer(here).look().versions()["kubelet"] is None


def test_a_certificate_that_ends_soon_is_a_warning_and_one_that_ended_breaks_the_cluster(
    here: Here, read: dict[str, Any]
) -> None:
    soon, over = replace(GOOD, days_left=29), replace(GOOD, name="etcd", days_left=-1)
    read["certificates"] = (soon,)
    seen = observer(here).look()
    assert seen.broken == ""
    assert seen.ending()[0] == "soon: certificate API server on control-plane: 29 days left"
    read["certificates"], read["cluster"] = (over,), ClusterStatus(problem="no answer")
    seen = observer(here).look()
    assert seen.broken == "certificate etcd on control-plane: ended 1 day ago"
    assert seen.warnings == ()


def test_the_lowest_broken_layer_is_named(here: Here, read: dict[str, Any]) -> None:
    read["metallb"] = MetallbStatus(installed=False, problem="no answer")
    assert observer(here).look().broken == "MetalLB: no answer"
    read["cluster"] = ClusterStatus(problem="no answer from https://x")
    assert observer(here).look().broken == "cluster: no answer from https://x"
    here.runners["worker-1"].up = False
    seen = observer(here).look()
    assert seen.broken == "machine worker-1: stopped, no SSH"
    assert [machine.up for machine in seen.machines] == [True, False, True, True]


def test_vagrant_is_asked_once_for_the_same_silent_machines_and_certificates_once(
    here: Here, read: dict[str, Any]
) -> None:
    eye = observer(here)
    for down, asked in (((), 0), (("worker-1",), 1), (("worker-1",), 1), (("worker-1", "client"), 2), ((), 2)):
        for name, runner in here.runners.items():
            runner.up = name not in down
        eye.look()
        assert here.vagrant.asked == asked
    assert read["read"] == len(LAB.nodes)
    assert {runner.asked for runner in here.runners.values()} == {5}


def test_files_that_cannot_be_read_are_no_certificates_and_no_error(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise LabError(errors.MACHINE_COMMAND_TIMED_OUT, "no end")

    monkeypatch.setattr("metallab.cluster.certificates.of_node", fail)
    seen = observer(here).look()
    assert (seen.certificates, seen.broken) == ((), "")
    assert all(part != "certificates" for _layer, part, _state in seen.lines())


# -- lab.status --watch ----------------------------------------------------------------------------------------


class Eye:
    """Sees the lab break and heal, then Ctrl-C is pressed."""

    def __init__(self, looks: list[Any]) -> None:
        self._looks: Iterator[Any] = iter(looks)

    def look(self) -> Any:
        try:
            return next(self._looks)
        except StopIteration:
            raise KeyboardInterrupt from None


@pytest.fixture
def looks(here: Here, read: dict[str, Any]) -> list[Any]:
    well = observer(here).look()
    read["cluster"] = ClusterStatus(problem="no answer")
    broken = observer(here).look()
    return [well, well, broken, well]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seen: list[float] = []
    monkeypatch.setattr("metallab.run.wait.pause", seen.append)
    return seen


def test_watching_prints_only_what_changed_and_ends_well(
    looks: list[Any], pauses: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.strftime", lambda _form: "12:00:00")
    tasks._watch(Eye(looks), 3.0, as_json=False)  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("12:00:00 machine worker-1 (192.168.96.11): running") == 1
    assert lines.count("12:00:00 all is well") == 2
    at = lines.index("12:00:00 cluster API server: no answer")
    gone = ["node control-plane", "node worker-1", "node worker-2", "cluster coredns", "cluster kube-proxy"]
    assert lines[at + 1 : at + 6] == [f"12:00:00 {part}: gone" for part in gone]
    assert "12:00:00 first broken layer: cluster: no answer" in lines[at:]
    assert lines[-1] == "12:00:00 all is well"
    assert pauses == [3.0] * 4


def test_watching_as_json_is_one_document_a_change(
    looks: list[Any], pauses: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    tasks._watch(Eye(looks), 2.0, as_json=True)  # type: ignore[arg-type]
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document["broken"] for document in documents] == ["", "cluster: no answer", ""]


@pytest.mark.parametrize("every", [0.0, -1.0, 0.4, 3601.0, float("nan")])
def test_a_senseless_pause_is_refused(every: float) -> None:
    with pytest.raises(LabError) as caught:
        tasks._watch(Eye([]), every, as_json=False)  # type: ignore[arg-type]
    assert caught.value.entry is errors.HOST_CHOICE_UNKNOWN


@pytest.mark.parametrize("ask", [tasks.status, tasks.list])
def test_an_output_there_is_none_of_is_refused_before_anything_is_asked(ask: Any) -> None:
    body = ask.body.__wrapped__
    with pytest.raises(LabError) as caught:
        body(Session(silent()), output="yaml")
    assert caught.value.entry is errors.HOST_CHOICE_UNKNOWN


def test_on_a_terminal_the_table_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv(console.PROGRESS, raising=False)
    with console.watching() as show:
        for state in ("one", "two"):
            show(console.View("title", ("part", "state"), [("x", state)], ["below"]))
    written = stream.getvalue()
    assert written.index("one") < written.index("\x1b[1A") < written.index("two")
    assert written.endswith("two\n\nbelow\n\x1b[?25h"), "the last look stays on the screen"
