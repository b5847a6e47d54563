"""Machines as system containers: systemd, sshd and a network stack of their own, on the host's kernel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from metallab import errors, workflow
from metallab.box import Box, frozen, seed, volumes
from metallab.box import docker as image
from metallab.bundle import Bundle
from metallab.config import Machine
from metallab.errors import LabError
from metallab.events import Events, Step
from metallab.host.packages import Purpose
from metallab.machines import inventory
from metallab.providers.base import ASK_SECONDS, Common, Settings, refuse_stopped
from metallab.run import capabilities
from metallab.run.local import run
from metallab.site import Site
from metallab.workflow import Job

KILL_SECONDS = 30.0


class Docker:
    """Vagrant's docker provider, on the host's daemon or on the sandbox's."""

    name = "docker"
    purposes: tuple[Purpose, ...] = ("docker",)
    own_clock = False

    def build_box(self, box: Box, events: Events, *, rebuild: bool = False) -> None:
        """Need nothing more: the golden root is what docker imports."""

    def fetch(self, here: Site, bundle: Bundle, box: Box, events: Events) -> None:
        """Need nothing from outside."""

    def make_ready(self, here: Site, bundle: Bundle, box: Box, events: Events) -> None:
        """Import the image, and give each node its /var/lib/containerd."""
        with events.step("box in Docker") as step:
            name = image.ensure_image(box, here.choice.environment, step)
        if here.labdir.inventory.exists():
            frozen.wake([*_containers(here).values()], here.choice.environment)
        else:
            # A lab that was destroyed without its daemon could not take these along.
            frozen.remove_all(here.lab.name, here.choice.environment)
        self._give_images(here, bundle, box, name, events)

    def common(self, here: Site, box: Box) -> Common:
        """Return the lab network the way Vagrant's docker provider takes it: with a prefix length."""
        return Common(netmask=str(here.lab.network.prefixlen))

    def settings(self, here: Site, box: Box, machine: Machine) -> Settings:
        """Return image, name and the arguments of ``docker run``; writes the file with the machine's identity."""
        images = here.labdir.images_of(machine.name) if machine in here.lab.nodes else None
        args = image.create_args(here.labdir.identity_of(machine.name), images, bounding_set=capabilities.own())
        name = inventory.container_name(here.lab, machine)
        made_from = here.labdir.image_of(machine.name) or image.image_name(box)
        return {"name": name, "image": made_from, "create_args": args}

    def guest(self, here: Site, bundle: Bundle, machine: Machine) -> Mapping[str, str]:
        """Return nothing: a container of another image would not be a machine."""
        return {}

    def leftovers(self, here: Site, machine: Machine) -> Sequence[Sequence[str]]:
        """Return how a container is removed."""
        return [["docker", "rm", "--force", "--volumes", inventory.container_name(here.lab, machine)]]

    def clean(self, here: Site) -> None:
        """Remove the volumes with the machines' images, and what snapshots kept."""
        volumes.remove(here.lab.name, here.choice.environment)
        frozen.remove_all(here.lab.name, here.choice.environment)

    def running(self, machines: Sequence[Mapping[str, Any]], environment: Mapping[str, str]) -> frozenset[str]:
        """Ask the daemon for its containers."""
        result = run(["docker", "ps", "--format", "{{.Names}}"], timeout=ASK_SECONDS, env=environment)
        there = {*result.stdout.split()}
        return frozenset(one["name"] for one in machines if one["settings"]["name"] in there)

    def save(self, here: Site, name: str, events: Events) -> None:
        """Commit the paused containers to images, and link what is in each node's /var/lib/containerd.

        What containers in the machine have written into their own layers is not kept apart: at a boot they are made
        anew, and nothing else of a /var/lib/containerd is ever written again but its databases.
        """
        lab, labdir, environment = here.lab, here.labdir, here.choice.environment
        containers = _containers(here)
        if any(not labdir.images_folder(node.name).exists() for node in lab.nodes):
            what = "the machines' images lie in volumes of the Docker daemon, of which only root could keep a copy"
            raise LabError(errors.SNAPSHOT_IMPOSSIBLE, what, fix="make the lab as root, or on another provider")
        states = frozen.states([*containers.values()], environment)
        refuse_stopped({name: states[of] for name, of in containers.items()}, ("running", "paused"))
        self.drop(here, name)

        def keep(machine: Machine) -> workflow.Do:
            def keep_machine(_step: Step) -> None:
                kept = frozen.image_name(lab.name, name, machine.name)
                frozen.commit(containers[machine.name], kept, lab.name, environment)
                if machine in lab.nodes:
                    target = labdir.kept_images_folder(name, machine.name)
                    seed.clone(labdir.images_folder(machine.name), target)

            return keep_machine

        with frozen.paused([*containers.values()], environment):
            workflow.perform([Job(f"keep {machine.name}", keep(machine)) for machine in lab.machines], events)

    def restore(self, here: Site, name: str, events: Events) -> None:
        """Remove the containers, and give the ones that Vagrant makes next what was kept: their disk and their images.

        Vagrant finds them gone and makes them anew; having it destroy them would take some seconds and the network.
        """
        lab, labdir, environment = here.lab, here.labdir, here.choice.environment
        kept = {machine.name: frozen.image_name(lab.name, name, machine.name) for machine in lab.machines}
        lacking = [machine for machine, kept_image in kept.items() if not frozen.exists(kept_image, environment)]
        lacking += [node.name for node in lab.nodes if not labdir.kept_images_folder(name, node.name).exists()]
        if lacking:
            what = f"of the snapshot {name} the machines {', '.join(sorted(set(lacking)))} are missing"
            raise LabError(errors.SNAPSHOT_UNKNOWN, what)
        with events.step("machines as they are now"):
            frozen.discard([*_containers(here).values()], environment)
        with events.step("machines as they were"):
            for node in lab.nodes:
                shutil.rmtree(labdir.images_folder(node.name), ignore_errors=True)
                seed.clone(labdir.kept_images_folder(name, node.name), labdir.images_folder(node.name))
            for machine, kept_image in kept.items():
                restored = frozen.restored_name(lab.name, machine)
                frozen.adopt(kept_image, restored, environment)
                labdir.note_image(machine, restored)

    def power_off(self, here: Site, machine: Machine) -> None:
        """Kill the container: paused, its kernel would go on answering for its addresses."""
        container = inventory.container_name(here.lab, machine)
        run(["docker", "kill", container], timeout=KILL_SECONDS, env=here.choice.environment)
        here.runner(machine).close()

    def drop(self, here: Site, name: str) -> None:
        """Remove images and linked folders. A machine that was restored keeps the image it runs on."""
        lab, labdir = here.lab, here.labdir
        images = [frozen.image_name(lab.name, name, machine.name) for machine in lab.machines]
        frozen.remove(images, lab.name, here.choice.environment)
        for machine in lab.machines:
            shutil.rmtree(labdir.kept_images_folder(name, machine.name).parent, ignore_errors=True)

    def _give_images(self, here: Site, bundle: Bundle, box: Box, name: str, events: Events) -> None:
        """Give each node its images: a linked folder where root can make one, else a volume of the daemon."""
        lab, labdir = here.lab, here.labdir
        lacking = [node for node in lab.nodes if labdir.images_of(node.name) is None]
        if not lacking:
            return
        with events.step("container images") as step:
            if box.seed is not None and os.geteuid() == 0:
                for node in lacking:
                    seed.clone(box.seed, labdir.images_folder(node.name))
                step.result(f"linked for {len(lacking)} nodes")
            else:
                filled = {node.name: inventory.container_name(lab, node) for node in lacking}
                volumes.fill(box, bundle, name, lab.name, [*filled.values()], here.choice.environment, step)
                for machine, volume in filled.items():
                    labdir.note_volume(machine, volume)
                step.result(f"in volumes for {len(lacking)} nodes")


def _containers(here: Site) -> dict[str, str]:
    """Return machine -> the name of its container."""
    return {machine.name: inventory.container_name(here.lab, machine) for machine in here.lab.machines}
