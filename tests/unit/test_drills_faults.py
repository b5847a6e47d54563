"""Faults whose making or undoing has more to it than a command: each is undone by its facts alone, from any half."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from metallab import site
from metallab.config import Lab
from metallab.drills.base import Facts, NotPossible, Stage
from metallab.drills.faults import certificate_expired, clock_ahead, mtu, token_expired
from metallab.events import silent
from metallab.proof.records import Picture, Place
from metallab.run import local
from metallab.run.result import Argv, CommandFailed, OnLine, Result

PKI = ("apiserver.crt", "apiserver.key")
ADDRESS = Lab().address(Lab().machine("worker-2"))
Answers = Mapping[str, tuple[int, str, str]]


class Machine:
    """A machine that answers by how a command line begins, and remembers what it was asked."""

    def __init__(self, name: str, answers: Answers) -> None:
        self.name, self.answers = name, answers
        self.asked: list[str] = []
        self.closed = False

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the words of Runner
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        assert timeout > 0
        line = shlex.join(str(word) for word in argv)
        self.asked.append(line)
        rc, stdout, stderr = next((said for begin, said in self.answers.items() if line.startswith(begin)), (0, "", ""))
        result = Result(tuple(map(str, argv)), rc, stdout, stderr, 0.0, self.name)
        if check and not result.ok:
            raise CommandFailed(result)
        return result

    def close(self) -> None:
        self.closed = True


def staged(runner: Callable[[str], Any], cluster: Any = None) -> Stage:
    """Return a lab in which worker-2 announces; ``runner`` gives the way to a machine by its name."""
    lab = Lab()
    here = SimpleNamespace(lab=lab, cluster=cluster, runner=lambda machine: runner(machine.name))
    places = tuple(Place(one.name, str(lab.address(one)), "", announces=one.name == "worker-2") for one in lab.nodes)
    subject = SimpleNamespace(client=runner("client"), address=lab.vip)
    return Stage(cast("site.Site", here), cast("Any", subject), silent(), Picture("client", str(lab.vip), places))


# -- mtu-1300


def link(size: int) -> str:
    """Return what iproute2 says of a card, its odd keys left out."""
    return json.dumps([{"ifindex": 24, "ifname": "eth1", "mtu": size, "qdisc": "noqueue", "link_type": "ether"}])


NICS = json.dumps(
    [
        {
            "ifname": "eth1",
            "link_type": "ether",
            "address": "02:42:c0:a8:60:0c",
            "addr_info": [{"family": "inet", "local": str(ADDRESS)}],
        }
    ]
)


@pytest.mark.parametrize("size", [1500, 9000, 1442])
def test_the_card_gets_the_mtu_back_that_it_had_and_no_other(size: int) -> None:
    machine = Machine("worker-2", {"ip -j addr": (0, NICS, ""), "ip -j link": (0, link(size), "")})
    stage = staged(lambda _name: machine)
    facts = mtu.look(stage)
    assert facts == {"node": "worker-2", "card": "eth1", "mtu found": str(size), "echo": "worker-2"}
    mtu.make(stage, facts)
    assert machine.asked[-1] == "ip link set dev eth1 mtu 1300"
    assert machine.closed, "what was connected before sends packets the card does not take any more"
    mtu.undo(stage, facts)
    assert machine.asked[-1] == f"ip link set dev eth1 mtu {size}"


# -- clock-24h


def test_a_clock_that_is_shared_is_never_set() -> None:
    """On system containers; here "machines" that run their commands on this very host."""
    asked: list[str] = []

    def here(name: str) -> Any:
        def run(argv: Argv, **flags: Any) -> Result:
            asked.append(shlex.join(str(word) for word in argv))
            return local.run(argv, **flags)

        return SimpleNamespace(name=name, run=run)

    with pytest.raises(NotPossible) as caught:
        clock_ahead.look(staged(here))
    assert str(caught.value).startswith("worker-2 has no clock of its own: it shares its kernel with ")
    assert str(caught.value).endswith(", this host")
    assert set(asked) == {"cat /proc/sys/kernel/random/boot_id"}


@pytest.mark.parametrize(
    ("kernels", "shared"),
    [
        ({"a": "1\n", "b": "2\n", "this host": "3\n"}, []),
        ({"a": "1\n", "b": "2\n", "this host": "1"}, ["this host"]),
        # A daemon elsewhere: the host's kernel is another, and the machines still have one clock.
        ({"a": "1\n", "b": "1\n", "this host": "3\n"}, ["b"]),
        ({"a": "1\n", "b": "2\n"}, []),
    ],
    ids=["machines of their own", "containers here", "containers elsewhere", "no Linux here"],
)
def test_who_shares_a_kernel_is_told_by_boot_ids(kernels: dict[str, str], shared: list[str]) -> None:
    assert clock_ahead.sharers("a", kernels) == shared


def test_a_machine_with_a_kernel_of_its_own_may_be_set() -> None:
    stage = staged(lambda name: Machine(name, {"cat": (0, f"boot of {name}\n", "")}))
    assert clock_ahead.look(stage) == {"node": "worker-2", "echo": "worker-2"}


# -- certificate-expired


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    folder = tmp_path / "pki"
    folder.mkdir()
    for name in PKI:
        (folder / name).write_text(f"the original {name}")
        (folder / name).chmod(0o640)
    return folder


def undo(pki: Path) -> None:
    """Play the undoing of the certificate in a folder of this test's own."""
    script = certificate_expired.UNDO.replace(certificate_expired.PKI, str(pki))
    script = script.replace(certificate_expired.WORK, str(pki.parent / "work"))
    local.run(["sh", "-eu", "-c", script], timeout=10)


def untouched(_pki: Path) -> None:
    """Nothing was done."""


def kept(pki: Path) -> None:
    """Both have their second name, nothing was replaced."""
    for name in PKI:
        (pki / f"{name}{certificate_expired.KEPT}").hardlink_to(pki / name)


def half(pki: Path) -> None:
    """One of the two was replaced, the other lies ready."""
    kept(pki)
    for name in PKI:
        (pki / f"{name}.new").write_text("expired")
    (pki / f"{PKI[0]}.new").replace(pki / PKI[0])


def whole(pki: Path) -> None:
    """Both were replaced."""
    half(pki)
    (pki / f"{PKI[1]}.new").replace(pki / PKI[1])


def half_undone(pki: Path) -> None:
    """One of the two has its name back."""
    whole(pki)
    (pki / f"{PKI[0]}{certificate_expired.KEPT}").replace(pki / PKI[0])


@pytest.mark.parametrize("state", [untouched, kept, half, whole, half_undone])
def test_the_original_has_its_name_again_whenever_it_was_interrupted(pki: Path, state: Callable[[Path], None]) -> None:
    inodes = [(pki / name).stat().st_ino for name in PKI]
    state(pki)
    for _ in range(2):
        undo(pki)
        assert sorted(path.name for path in pki.iterdir()) == sorted(PKI)
        assert [(pki / name).stat().st_ino for name in PKI] == inodes
    for name in PKI:
        assert (pki / name).read_text() == f"the original {name}"
        assert (pki / name).stat().st_mode & 0o777 == 0o640


def test_a_cluster_whose_authority_keeps_its_key_elsewhere_is_left_alone() -> None:
    held = "\n".join(path for path in certificate_expired.NEEDED if not path.endswith("ca.key"))
    machine = Machine("control-plane", {"ls": (2, held, "ls: cannot access")})
    with pytest.raises(NotPossible) as caught:
        certificate_expired.look(staged(lambda _name: machine))
    assert str(caught.value) == "control-plane has no /etc/kubernetes/pki/ca.key"


# -- token-expired


def test_the_secret_half_of_a_token_is_no_fact() -> None:
    facts: Facts = token_expired.look(staged(lambda name: Machine(name, {})))
    assert len(facts["token"]) == len("abcdef")
    deleted: list[tuple[object, ...]] = []
    token_expired.undo(
        staged(lambda name: Machine(name, {}), SimpleNamespace(delete=lambda *a: deleted.append(a))), facts
    )
    assert deleted == [("v1", "Secret", f"bootstrap-token-{facts['token']}", "kube-system")]
