"""What virsh and docker are told to keep machines and put them back, by programs that stand for them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from metallab import config, errors, providers
from metallab.box import frozen
from metallab.errors import LabError
from metallab.events import Step
from metallab.host import libvirt
from metallab.providers.base import refuse_stopped

DOMAINS = ("metallab-two_cp", "metallab-two_w1")
# Answers like virsh. What there is lies in $HERE: state.DOMAIN, and snapshots.DOMAIN with a name a line. A file
# refuse.VERB.DOMAIN holds the words with which it refuses, once.
FAKE_VIRSH = """\
#!/bin/sh
echo "$*" >>"$HERE/calls"
refuse=$HERE/refuse.$1.$2
if [ -e "$refuse" ]; then
    cat "$refuse" >&2
    rm "$refuse"
    exit 1
fi
case "$1" in
domstate) cat "$HERE/state.$2" 2>/dev/null && echo ;;
suspend) printf paused >"$HERE/state.$2" ;;
resume) printf running >"$HERE/state.$2" ;;
snapshot-list) cat "$HERE/snapshots.$2" 2>/dev/null ;;
snapshot-create-as) echo "$3" >>"$HERE/snapshots.$2" ;;
snapshot-delete) : >"$HERE/snapshots.$2" ;;
snapshot-revert) [ "$4" = --paused ] && printf paused >"$HERE/state.$2" ;;
esac
"""
# Answers like docker: containers are lines "NAME STATE", images lines "REPOSITORY:TAG".
FAKE_DOCKER = """\
#!/bin/sh
echo "$*" >>"$HERE/calls"
case "$1 $2" in
"container inspect") sed -n "s/^$5 //p" "$HERE/containers" | grep . ;;
"ps "*) sed -n 's/ paused$//p' "$HERE/containers" ;;
"pause "*) [ ! -e "$HERE/no-freezer" ] || { echo "freezer not available" >&2; exit 1; }
    sed -i 's/ running$/ paused/' "$HERE/containers" ;;
"unpause "*) sed -i 's/ paused$/ running/' "$HERE/containers" ;;
"image ls") cat "$HERE/images" ;;
"image inspect") grep -qx "$3" "$HERE/images" ;;
esac
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name, text in (("virsh", FAKE_VIRSH), ("docker", FAKE_DOCKER)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for domain in DOMAINS:
        (tmp_path / f"state.{domain}").write_text("running")
    (tmp_path / "containers").write_text("two-cp running\ntwo-w1 running\nother paused\n")
    (tmp_path / "images").write_text("")
    return tmp_path


def leading_to(here: Path) -> dict[str, str]:
    return {"PATH": f"{here}:/usr/bin:/bin", "HERE": str(here)}


def calls(here: Path, *verbs: str) -> list[str]:
    return [line for line in (here / "calls").read_text().splitlines() if line.split()[0] in verbs]


def step() -> Step:
    return Step("x", lambda _event: None)


CHANGES = ("suspend", "resume", "snapshot-create-as", "snapshot-delete", "snapshot-revert")

# -- libvirt ---------------------------------------------------------------------------------------------------


def test_no_machine_runs_while_one_is_kept(here: Path) -> None:
    libvirt.save(DOMAINS, "fresh", leading_to(here), step())
    cp, w1 = DOMAINS
    assert calls(here, *CHANGES) == [
        f"suspend {cp}",
        f"suspend {w1}",
        f"snapshot-create-as {cp} fresh --atomic",
        f"snapshot-create-as {w1} fresh --atomic",
        f"resume {cp}",
        f"resume {w1}",
    ]


def test_what_an_interrupted_save_left_is_replaced(here: Path) -> None:
    (here / f"snapshots.{DOMAINS[0]}").write_text("fresh\n")
    libvirt.save(DOMAINS, "fresh", leading_to(here), step())
    assert calls(here, *CHANGES)[0] == f"snapshot-delete {DOMAINS[0]} fresh"


def test_a_failed_save_lets_the_machines_go_on(here: Path) -> None:
    (here / f"refuse.snapshot-create-as.{DOMAINS[1]}").write_text("error: No space left on device")
    with pytest.raises(LabError) as caught:
        libvirt.save(DOMAINS, "fresh", leading_to(here), step())
    assert caught.value.entry is errors.PROVIDER_DAEMON_FAILED
    assert "No space left" in caught.value.detail
    assert libvirt.states(DOMAINS, leading_to(here)) == dict.fromkeys(DOMAINS, "running")
    libvirt.drop(DOMAINS, "fresh", leading_to(here))
    assert calls(here, *CHANGES)[-1] == f"snapshot-delete {DOMAINS[0]} fresh", "the other one never had it"


def test_a_domain_that_libvirt_is_still_busy_with_is_waited_for(here: Path) -> None:
    (here / f"refuse.suspend.{DOMAINS[0]}").write_text("error: Timed out: cannot acquire state change lock (held by x)")
    libvirt.save(DOMAINS, "fresh", leading_to(here), step())
    assert calls(here, "suspend")[:2] == [f"suspend {DOMAINS[0]}"] * 2


@pytest.mark.parametrize("state", ["running", "paused", "shut off"])
def test_all_machines_are_put_back_before_one_runs(here: Path, state: str) -> None:
    libvirt.save(DOMAINS, "fresh", leading_to(here), step())
    (here / f"state.{DOMAINS[1]}").write_text(state)
    (here / "calls").unlink()
    libvirt.revert(DOMAINS, "fresh", leading_to(here), step())
    cp, w1 = DOMAINS
    assert calls(here, *CHANGES) == [
        f"suspend {cp}",
        *([f"suspend {w1}"] if state == "running" else []),
        f"snapshot-revert {cp} fresh --paused --force",
        f"snapshot-revert {w1} fresh --paused --force",
        f"resume {cp}",
        f"resume {w1}",
    ]


def test_nothing_is_put_back_when_a_machine_lacks_its_part(here: Path) -> None:
    (here / f"snapshots.{DOMAINS[0]}").write_text("fresh\nfresher\n")
    (here / f"snapshots.{DOMAINS[1]}").write_text("fresher\n")
    with pytest.raises(LabError) as caught:
        libvirt.revert(DOMAINS, "fresh", leading_to(here), step())
    assert caught.value.entry is errors.SNAPSHOT_UNKNOWN
    assert DOMAINS[1] in caught.value.what
    assert DOMAINS[0] not in caught.value.what
    assert calls(here, *CHANGES) == []


def test_a_machine_that_is_off_is_named(here: Path) -> None:
    (here / f"state.{DOMAINS[0]}").write_text("shut off")
    states = libvirt.states((*DOMAINS, "metallab-two_w2"), leading_to(here))
    with pytest.raises(LabError) as caught:
        refuse_stopped(states, ("running", "paused"))
    assert caught.value.entry is errors.SNAPSHOT_IMPOSSIBLE
    assert "metallab-two_cp: shut off" in caught.value.what
    assert "metallab-two_w2: gone" in caught.value.what
    assert "w1" not in caught.value.what


# -- docker ----------------------------------------------------------------------------------------------------

CONTAINERS = ("two-cp", "two-w1")


def test_containers_pause_together_and_only_ours_go_on(here: Path) -> None:
    with frozen.paused(CONTAINERS, leading_to(here)):
        assert frozen.states(CONTAINERS, leading_to(here)) == dict.fromkeys(CONTAINERS, "paused")
    assert calls(here, "pause", "unpause") == ["pause two-cp two-w1", "unpause two-cp two-w1"]


def test_containers_go_on_also_after_an_error(here: Path) -> None:
    with pytest.raises(ZeroDivisionError), frozen.paused(CONTAINERS, leading_to(here)):
        raise ZeroDivisionError
    assert frozen.states(CONTAINERS, leading_to(here)) == dict.fromkeys(CONTAINERS, "running")


def test_a_docker_that_cannot_pause_is_refused_with_its_words(here: Path) -> None:
    (here / "no-freezer").touch()
    with pytest.raises(LabError) as caught, frozen.paused(CONTAINERS, leading_to(here)):
        pass
    assert caught.value.entry is errors.SNAPSHOT_IMPOSSIBLE
    assert "freezer" in caught.value.detail


def test_containers_are_discarded_in_any_state_and_none_is_no_error(here: Path) -> None:
    frozen.discard(("two-cp", "other", "two-w2"), leading_to(here))
    frozen.discard(("two-w2",), leading_to(here))
    assert calls(here, "rm") == ["rm --force --volumes two-cp other"]


def test_a_container_there_is_not_is_gone(here: Path) -> None:
    assert frozen.states(("two-w2",), leading_to(here)) == {"two-w2": "gone"}


def test_an_image_knows_its_lab_and_no_two_share_a_name(here: Path) -> None:
    frozen.commit("two-cp", frozen.image_name("two", "fresh", "cp"), "two", leading_to(here))
    (made,) = calls(here, "commit")
    assert made == "commit --change LABEL metallab.snapshot-of=two two-cp metallab/snapshot:two.fresh.cp"
    assert frozen.image_name("a", "b-c", "d") != frozen.image_name("a-b", "c", "d")


def test_only_images_that_are_there_are_removed(here: Path) -> None:
    kept = [frozen.image_name("two", "fresh", name) for name in ("cp", "w1")]
    (here / "images").write_text(f"{kept[1]}\nmetallab/snapshot:two.other.cp\n")
    frozen.remove(kept, "two", leading_to(here))
    assert calls(here, "image")[1:] == [
        "image rm --force metallab/snapshot:two.fresh.w1",
        "image prune --force --filter label=metallab.snapshot-of=two",
    ]


def test_an_image_that_has_lost_its_name_is_pruned_not_named(here: Path) -> None:
    (here / "images").write_text("<none>:<none>\n")
    frozen.remove_all("two", leading_to(here))
    assert calls(here, "image")[-1].startswith("image prune ")
    assert not [line for line in calls(here, "image") if " rm " in line]


def test_nothing_is_asked_of_a_lab_without_snapshots(here: Path) -> None:
    frozen.remove_all("two", leading_to(here))
    assert len(calls(here, "image")) == 1


# -- power -----------------------------------------------------------------------------------------------------


class _Runners:
    """Hands out one way to a machine and keeps whether it was closed: what it leads to is gone."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("name", "expected"),
    [("docker", "docker kill metallab-two_w1"), ("libvirt", "halt w1 True"), ("virtualbox", "halt w1 True")],
)
def test_a_machine_s_power_is_cut_and_the_way_to_it_forgotten(here: Path, name: str, expected: str) -> None:
    machines = "{name: cp, role: control-plane, host: 10}, {name: w1, role: worker, host: 11}"
    lab = config.parse(f"{{name: two, machines: [{machines}, {{name: c, role: client, host: 12}}]}}")
    way, told = _Runners(), list[str]()

    class Vagrant:
        def halt(self, machine: str, _on_line: object, *, force: bool = False) -> None:
            told.append(f"halt {machine} {force}")

    site = SimpleNamespace(
        lab=lab,
        vagrant=Vagrant(),
        choice=SimpleNamespace(environment=leading_to(here)),
        runner=lambda _machine: way,
    )
    providers.of(name).power_off(cast("Any", site), lab.machine("w1"))
    if name == "docker":
        told += [f"docker {line}" for line in calls(here, "kill")]
    assert told == [expected]
    assert way.closed
