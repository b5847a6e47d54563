"""A lab kept and put back: on system containers here, on virtual machines in ``tests/vm``."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallab import paths
from tests.e2e.conftest import REPO, User
from tests.e2e.snapshot_story import NAME, example_of, keep_and_put_back

pytestmark = pytest.mark.timeout(900)
LAB = """\
name: keeper
provider: docker
machines:
  - {name: cp, role: control-plane, host: 10}
  - {name: w1, role: worker, host: 11}
  - {name: client, role: client, host: 200, cpus: 1, memory: 512}
"""
SOCKET = "unix:///run/metallab/keeper/docker.sock"


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory, built: None) -> Iterator[User]:
    """A user with a small lab, on which MetalLB and the example are; it is destroyed whatever happens."""
    folder = tmp_path_factory.mktemp("keeper")
    (folder / "lab.yaml").write_text(LAB)
    someone = User(folder / "lab.yaml", folder / "state")
    try:
        for words in ("lab.up", "metallb.install", "iperf3.deploy"):
            someone.inv(words)
        yield someone
    finally:
        subprocess.run(
            [REPO / "inv", "lab.destroy", "--yes"],
            env=someone.environment,
            check=False,
            capture_output=True,
            timeout=300,
        )


def images(repository: str) -> list[str]:
    """Names of a repository's images in the lab's own daemon."""
    argv = ["docker", "--host", SOCKET, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository]
    return sorted(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())


def test_a_lab_is_what_it_was_after_a_restore(keeper: User) -> None:
    assert keeper.json("lab.snapshot.list") == []
    took = keep_and_put_back(keeper, "w1")
    print(f"TOOK save: {took.save:.1f} s, restore: {took.restore:.1f} s")
    (listed,) = keeper.json("lab.snapshot.list")
    assert (listed["name"], listed["machines"]) == (NAME, ["cp", "w1", "client"])
    assert NAME in keeper.inv("lab.snapshot.list").stdout


def test_up_again_changes_nothing_about_a_restored_lab(keeper: User) -> None:
    uid = example_of(keeper)
    said = keeper.inv("lab.up").stderr
    assert said.count("already up") == 3
    assert example_of(keeper) == uid


def test_mistakes_are_answered_with_the_next_step(keeper: User) -> None:
    for words, id_ in (
        (("save", NAME), "LAB-MACH-011"),
        (("save", "../x"), "LAB-MACH-011"),
        (("restore", "nothing"), "LAB-MACH-010"),
        (("delete", "nothing"), "LAB-MACH-010"),
    ):
        assert id_ in keeper.inv(f"lab.snapshot.{words[0]}", words[1], expect=13).stderr


def test_a_killed_save_is_no_snapshot_and_the_lab_goes_on(keeper: User) -> None:
    keeper.interrupt("lab.snapshot.save", "killed", at="keep cp", seconds=0.1, number=signal.SIGKILL)
    assert [one["name"] for one in keeper.json("lab.snapshot.list")] == [NAME]
    keeper.inv("lab.up")
    keeper.inv("lab.status")
    keeper.inv("lab.snapshot.save", "killed")
    assert [one["name"] for one in keeper.json("lab.snapshot.list")] == [NAME, "killed"]


def test_an_interrupted_restore_is_the_next_thing_to_do(keeper: User) -> None:
    at = "machines as they are now"
    code = keeper.interrupt("lab.snapshot.restore", NAME, at=at, seconds=0.3, number=signal.SIGINT)
    assert code in (130, -signal.SIGINT)
    for words in (("lab.up",), ("lab.snapshot.save", "third")):
        assert "LAB-MACH-013" in keeper.inv(*words, expect=13).stderr
    keeper.inv("lab.snapshot.restore", NAME)
    keeper.inv("lab.status")


def test_a_deleted_snapshot_takes_nothing_from_the_machines_that_run_on_it(keeper: User) -> None:
    keeper.inv("lab.snapshot.delete", NAME)
    keeper.inv("lab.snapshot.delete", "killed")
    assert keeper.json("lab.snapshot.list") == []
    assert images("metallab/snapshot") == []
    assert len(images("metallab/restored")) == 3
    # A machine that is lost is still made from what it was restored to.
    keeper.inv("lab.halt")
    keeper.inv("lab.up")
    keeper.inv("lab.status")


def test_destroy_takes_the_snapshots_along(keeper: User) -> None:
    keeper.inv("lab.snapshot.save", "last")
    keeper.inv("lab.destroy", "--yes")
    assert not (keeper.state / "metallab" / "keeper").exists()
    assert not Path("/run/metallab/keeper").exists()
    # The image store stays in the cache: nothing of a snapshot is in it.
    (store,) = (paths.cache_dir() / "sandbox" / "keeper").glob("image/*/repositories.json")
    assert list(json.loads(store.read_text())["Repositories"]) == ["metallab/box"]
    assert keeper.json("lab.snapshot.list") == []
