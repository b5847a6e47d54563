"""The pod network: what is written for a node, and that only what changed is written again."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from metallab import errors
from metallab.cluster import files, nic, podnet
from metallab.config import Lab, parse
from metallab.errors import LabError
from metallab.run import local
from metallab.run.result import Argv, OnLine, Result

DATA = Path(__file__).parent.parent / "data" / "cluster"


class Here:
    """This host as a runner: for commands that only touch files of the test's own folder."""

    name = "here"

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the word of Runner
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        return local.run(argv, timeout=timeout, input=input, check=check, on_line=on_line)


class Node:
    """A node whose files lie under a folder of the test, and whose systemd only remembers."""

    name = "worker-1"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.active = False
        self.restarts = 0

    def run(
        self,
        argv: Argv,
        *,
        timeout: float,
        input: str | bytes | None = None,  # noqa: A002 - the word of Runner
        check: bool = True,
        on_line: OnLine | None = None,
    ) -> Result:
        words = [str(word) for word in argv]
        if words[0] == "systemctl":
            return self._systemctl(words)
        moved = [self._moved(word) for word in words]
        result = local.run(moved, timeout=timeout, input=input, check=check, on_line=on_line)
        return Result(result.argv, result.rc, result.stdout.replace(str(self.root), ""), result.stderr, 0.0, self.name)

    def _moved(self, word: str) -> str:
        if word == "--directory=/":
            return f"--directory={self.root}"
        return f"{self.root}{word}" if word.startswith("/etc/") else word

    def _systemctl(self, words: list[str]) -> Result:
        if "restart" in words:
            self.restarts += 1
            self.active = True
        return Result(tuple(words), 0 if self.active else 3, "", "", 0.0, self.name)


def test_what_is_written_is_the_known_files() -> None:
    lab = Lab()
    rendered = podnet.render(lab, lab.workers[0])
    assert {Path(path).name: text for path, text in rendered.items()} == {
        name: (DATA / name).read_text() for name in ("10-metallab.conflist", "routes", "masquerade.nft", "resolv.conf")
    }


def test_every_node_routes_to_every_other_and_never_to_itself() -> None:
    lab = Lab()
    for node in lab.nodes:
        *lines, services = podnet.routes(lab, node).splitlines()
        assert services == f"{lab.services} from {lab.address(node)}"
        assert len(lines) == len(lab.nodes) - 1
        assert not any(line.startswith(f"{lab.pod_network(node)} ") for line in lines)
        assert not any(line.endswith(f" {lab.address(node)}") for line in lines)


def test_a_lone_node_has_no_routes_to_others() -> None:
    lab = parse("machines: [{name: cp, role: control-plane, host: 10}, {name: c, role: client, host: 200}]")
    assert podnet.routes(lab, lab.control_plane) == "10.96.0.0/16 from 192.168.96.10\n"
    assert json.loads(podnet.cni_config(lab, lab.control_plane))["plugins"][0]["ipam"]["ranges"] == [
        [{"subnet": "10.244.0.0/24"}]
    ]


def test_configure_again_changes_nothing(tmp_path: Path) -> None:
    lab, node = Lab(), Node(tmp_path)
    assert podnet.configure(lab, lab.workers[0], node)
    assert node.restarts == 1
    for path, text in podnet.render(lab, lab.workers[0]).items():
        assert Path(f"{tmp_path}{path}").read_text() == text
    assert not podnet.configure(lab, lab.workers[0], node)
    assert node.restarts == 1


def test_configure_mends_one_changed_file_and_a_dead_unit(tmp_path: Path) -> None:
    lab, node = Lab(), Node(tmp_path)
    podnet.configure(lab, lab.workers[0], node)
    routes = Path(f"{tmp_path}{podnet.ROUTES}")
    routes.write_text("somebody was here\n")
    assert podnet.configure(lab, lab.workers[0], node)
    assert routes.read_text() == podnet.routes(lab, lab.workers[0])
    node.active = False
    assert podnet.configure(lab, lab.workers[0], node)
    assert node.restarts == 3


def test_files_travel_through_standard_input_with_their_mode(tmp_path: Path) -> None:
    secret, plain = f"{tmp_path}/deep/down/secret", f"{tmp_path}/plain"
    files.write(Here(), {secret: "s3cret\n"}, files.SECRET)
    files.write(Here(), {plain: "ü\n"})
    assert Path(secret).read_text() == "s3cret\n"
    assert stat.S_IMODE(Path(secret).stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(plain).stat().st_mode) == 0o644
    assert files.differing(Here(), {secret: "s3cret\n", plain: "u\n", f"{tmp_path}/none": ""}) == [
        plain,
        f"{tmp_path}/none",
    ]
    files.remove(Here(), [secret, f"{tmp_path}/none"])
    assert files.fingerprints(Here(), [secret]) == {}


def test_card_is_found_by_its_address() -> None:
    listing = (DATA / "ip-address.json").read_text()
    lab = parse("network: 192.168.97.0/24")
    assert nic.interface_of(listing, lab.address(lab.workers[0]), where="worker-1") == "eth1"


def test_a_node_without_its_address_is_an_error() -> None:
    listing = (DATA / "ip-address.json").read_text()
    with pytest.raises(LabError) as caught:
        nic.interface_of(listing, Lab().address(Lab().workers[0]), where="worker-1")
    assert caught.value.entry is errors.CLUSTER_NO_ADDRESS
    assert caught.value.where == "worker-1"
