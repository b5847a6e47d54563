"""Every drill is whole: it says what it does, what it needs, how it is undone, and what it shows."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any, cast

import pytest

from metallab import errors, paths
from metallab.cluster import example, manifests
from metallab.cluster.api import Object
from metallab.config import Lab
from metallab.drills import base, echo, faults, registry, table
from metallab.drills.base import Drill
from metallab.errors import LabError
from metallab.proof.subject import CONTROL_PORT, ECHO_PORT

PAPER = (paths.repo_root() / "docs" / "drills.md").read_text(encoding="utf-8")
FOLDER = paths.repo_root() / "metallab" / "drills" / "faults"


def named(drill: Drill) -> str:
    return drill.id


@pytest.mark.parametrize("drill", registry.DRILLS, ids=named)
def test_a_drill_is_whole(drill: Drill) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", drill.id)
    assert re.fullmatch(r"(net|node|cluster): .+", drill.fault)
    for words in (drill.words, drill.shows, *(claim.words for claim in drill.claims)):
        assert len(words) > len("it works")
        assert not words.endswith(".")
    assert drill.claims
    assert drill.seconds > 0
    for part in (drill.look, drill.make, drill.undo):
        assert inspect.getdoc(part), "says what it does"


@pytest.mark.parametrize("drill", registry.DRILLS, ids=named)
def test_a_drill_has_its_line_in_the_paper(drill: Drill) -> None:
    assert f"| `{drill.id}` |" in PAPER


def test_the_paper_has_no_drill_there_is_not() -> None:
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", PAPER, re.MULTILINE)) == {drill.id for drill in registry.DRILLS}


def test_ids_are_given_once_and_claims_once_in_each() -> None:
    ids = [drill.id for drill in registry.DRILLS]
    assert sorted(set(ids)) == sorted(ids)
    for drill in registry.DRILLS:
        claims = [claim.id for claim in drill.claims]
        assert sorted(set(claims)) == sorted(claims)
        assert not {"ready", "recovered", "as-found"} & set(claims)


def test_every_file_of_a_fault_is_listed() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    kept = [importlib.import_module(f"{faults.__name__}.{file}").DRILL for file in files]
    assert {drill.id for drill in kept} == {drill.id for drill in registry.DRILLS}
    assert len(kept) == len(registry.DRILLS)
    assert faults.__doc__


def test_a_drill_is_found_by_its_id_alone() -> None:
    assert registry.find("announcer-off") is registry.DRILLS[0]
    for name in ("", "announcer", "ANNOUNCER-OFF", "nothing"):
        with pytest.raises(LabError) as caught:
            registry.find(name)
        assert caught.value.entry is errors.DRILL_UNKNOWN


def test_the_list_names_all() -> None:
    rows = table.contents(registry.DRILLS)
    assert [row[0] for row in rows] == [drill.id for drill in registry.DRILLS]
    assert {len(row) for row in rows} == {len(table.CONTENTS)}


# -- what drills bring along


@pytest.mark.parametrize("free", [False, True])
def test_the_echo_shares_the_address_by_ports_of_its_own_and_runs_where_it_should(free: bool) -> None:  # noqa: FBT001
    items = echo.objects(Lab(), "example/agnhost:1", "worker-2", free=free)
    services = [item for item in items if item["kind"] == "Service"]
    assert {item["metadata"]["name"] for item in services} == set(echo.SERVICES)
    for service in services:
        theirs = manifests.find(manifests.folder("iperf3"), "Service", example.TCP)["metadata"]["annotations"]
        assert service["metadata"]["annotations"] == theirs
        (port,) = service["spec"]["ports"]
        assert port["port"] == echo.PORT
        assert port["port"] not in (example.PORT, ECHO_PORT, CONTROL_PORT)
    pod = manifests.find(items, "Deployment", echo.NAME)["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "example/agnhost:1"
    assert ("tolerations" in pod) is not free
    assert "worker-2" in str(pod["affinity"])
    name, _, value = echo.LABEL.partition("=")
    assert all(item["metadata"]["labels"][name] == value for item in items)


class Pods:
    """A cluster that knows one pod: deleted, it goes at the next look, and the next one goes where it is wished."""

    def __init__(self, *nodes: str | None) -> None:
        self.nodes, self.deleted = list(nodes), 0

    def list(self, *_kind: str, labels: str) -> list[Object]:
        assert labels == f"app={echo.NAME}"
        metadata = {"name": "echo", **({"deletionTimestamp": "now"} if self.deleted else {})}
        if self.deleted:
            self.nodes = self.nodes[1:]
            self.deleted = 0
            return [{"metadata": metadata, "spec": {"nodeName": "leaving"}}]
        return [{"metadata": metadata, "spec": {} if self.nodes[0] is None else {"nodeName": self.nodes[0]}}]

    def delete(self, *_what: str) -> None:
        assert self.nodes[0] == "worker-2", "nothing is deleted that is where it should be"
        self.deleted += 1


@pytest.mark.parametrize(
    "nodes", [("worker-1",), (None,), ("worker-2", "worker-1"), ("worker-2", "worker-2", "worker-1")]
)
def test_an_echo_that_was_driven_away_is_brought_home(nodes: tuple[str | None, ...]) -> None:
    pods = Pods(*nodes)
    echo.bring_home(cast("Any", pods), "worker-1")
    assert pods.nodes == list(nodes[-1:])


def test_every_precondition_has_its_own_words() -> None:
    assert str(base.NotPossible("no other node")) == "no other node"
