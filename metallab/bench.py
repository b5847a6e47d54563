"""``inv bench``: the lab's bring-up beside the same steps by hand, in turn on the same host, as ratios.

Seconds of a shared machine say little; that the lab takes 1.2 times what a person's script takes does. The script is
``tests/bench/by-hand``. It gets the same configuration files, made before the clock runs, and ends at the same point.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from metallab import paths
from metallab.bundle import Bundle
from metallab.cluster import example, kubeadm, kubeadm_config, manifests, metallb, podnet
from metallab.cluster.api import Object
from metallab.config import VARIABLES, Lab
from metallab.events import Events, Step
from metallab.host import netns
from metallab.host.sandbox import Sandbox
from metallab.machines import inventory
from metallab.machines.labdir import LabDir
from metallab.machines.vagrant import Vagrant
from metallab.run import capabilities
from metallab.run.local import run

LAB = Lab(name="bench", provider="docker")
TASKS = ("lab.up", "metallb.install", "iperf3.deploy")
LIMIT_SECONDS = 900
SCRIPT = paths.repo_root() / "tests/bench/by-hand"
PATCHES = "/run/metallab/patches"
DISCOVERY = "/run/metallab/discovery.conf"
LAB_NIC = "eth1"
"""The lab network's card in a container: Docker's own network comes first."""


@dataclass(frozen=True)
class Round:
    """One bring-up each way, in seconds; ``tasks`` are the parts of the lab's."""

    by_hand: float
    tasks: Mapping[str, float]

    @property
    def lab(self) -> float:
        """Return the seconds of the lab's bring-up."""
        return sum(self.tasks.values())

    @property
    def ratio(self) -> float:
        """Return how many times as long as by hand the lab took."""
        return self.lab / self.by_hand


def measure(bundle: Bundle, events: Events, rounds: int) -> tuple[Round, ...]:
    """Bring a lab of its own up and down, ``rounds`` times each way. Needs root, the bundle and the box."""
    found = []
    with tempfile.TemporaryDirectory(prefix="metallab-bench-") as name:
        bench = _Bench(Path(name), bundle)
        try:
            for number in range(1, rounds + 1):
                with events.step(f"round {number} of {rounds}: by hand") as step:
                    by_hand = bench.by_hand(step)
                with events.step(f"round {number} of {rounds}: the lab") as step:
                    found.append(Round(by_hand, bench.lab(step)))
        finally:
            bench.destroy()
    return tuple(found)


def rows(rounds: Sequence[Round]) -> list[tuple[str, ...]]:
    """Return rows of a table: what, median, least and most seconds."""
    series = {
        "by hand": [each.by_hand for each in rounds],
        "the lab": [each.lab for each in rounds],
        **{f"  {task}": [each.tasks[task] for each in rounds] for task in TASKS},
    }
    return [
        (what, *(f"{figure:.1f}" for figure in (statistics.median(seconds), min(seconds), max(seconds))))
        for what, seconds in series.items()
    ]


def summary(rounds: Sequence[Round]) -> str:
    """Return the one sentence to quote."""
    ratios = [each.ratio for each in rounds]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"The lab takes {statistics.median(ratios):.2f} times as long as by hand ({spread} in {len(ratios)} rounds)."


def to_dict(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {"rounds": [{**asdict(each), "lab": each.lab, "ratio": each.ratio} for each in rounds]}


class _Bench:
    """The two ways up, for one lab in a folder of its own."""

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self._folder = folder
        self._bundle = bundle
        self._lab_file = folder / "lab.yaml"
        self._lab_file.write_text(f"name: {LAB.name}\nprovider: {LAB.provider}\n", encoding="utf-8")

    def lab(self, step: Step) -> dict[str, float]:
        """Bring the lab up by its tasks and return the seconds of each."""
        taken = {}
        for task in TASKS:
            step.progress(task)
            taken[task] = self._inv(task)
        self.destroy()
        step.result(f"{sum(taken.values()):.1f} s")
        return taken

    def by_hand(self, step: Step) -> float:
        """Bring it up by the script and return the seconds; what is prepared by ``lab.prepare`` counts, too."""
        work = self._folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        write_work(LAB, self._bundle, work)
        step.progress("lab.prepare")
        seconds = self._inv("lab.prepare")
        labdir = LabDir.of(LAB)
        vagrant = Vagrant(labdir, dict((inventory.recorded(labdir) or {}).get("environment", {})))
        # As lab.destroy, which is told LAB_FILE, will look for it: this process itself is not.
        variables = {**vagrant.variables, "VAGRANT_DOTFILE_PATH": str(labdir.path / "vagrant")}
        step.progress(SCRIPT.name)
        sandbox = Sandbox(LAB.name)
        inside = netns.inside(sandbox.namespace) if sandbox.exists() else ()
        argv: list[str | Path] = [*inside, "sh", SCRIPT, work, LAB.name]
        seconds += run(argv, timeout=LIMIT_SECONDS, env=variables, cwd=paths.repo_root()).seconds
        self.destroy()
        step.result(f"{seconds:.1f} s")
        return seconds

    def destroy(self) -> None:
        """Remove whatever there is of the lab."""
        self._inv("lab.destroy", "--yes")

    def _inv(self, *words: str) -> float:
        # What the user's shell says of a lab is not about this one.
        environment = {**dict.fromkeys(VARIABLES, ""), "LAB_FILE": str(self._lab_file)}
        return run([paths.repo_root() / "inv", *words], timeout=LIMIT_SECONDS, env=environment).seconds


def write_work(lab: Lab, bundle: Bundle, work: Path) -> None:
    """Write the files ``by-hand`` needs into the folder ``work``."""
    token = kubeadm.new_token()
    lacks = "SYS_RESOURCE" not in capabilities.own()
    files = {
        "init.yaml": kubeadm_config.init_config(lab, bundle.versions, token, PATCHES, lacks_resources=lacks),
        "metallb.yaml": _yaml([*metallb.prepare(manifests.read(bundle.metallb_manifest)), metallb.memberlist_key()]),
        "pool.yaml": _yaml(metallb.pool_objects(lab, [LAB_NIC])),
        "example.yaml": _yaml(example.objects(lab, bundle.image_ref("iperf3"))),
        **{f"patches/{name}": text for name, text in kubeadm_config.patches().items()},
        **{f"join-{node.name}.yaml": kubeadm_config.join_config(lab, node, token, DISCOVERY) for node in lab.workers},
    }
    for node in lab.nodes:
        files |= {f"root-{node.name}{path}": text for path, text in podnet.render(lab, node).items()}
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _yaml(objects: Sequence[Object]) -> str:
    text: str = yaml.safe_dump_all(objects, sort_keys=False)
    return text
