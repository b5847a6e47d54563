"""The story of a bring-up: read this and you know the lab.

Every step first looks whether it is already done, so running a command again changes nothing, and running it after
an interruption goes on where that stopped. What depends on what is written beside each job; the rest overlaps.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone

from metallab import box as boxes
from metallab import bundle as bundles
from metallab import errors, lock, workflow
from metallab.box import Box
from metallab.box import docker as box_docker
from metallab.box import seed as box_seed
from metallab.box import volumes as box_volumes
from metallab.bundle import Bundle
from metallab.cluster import example, kubeadm, metallb, podnet, ready
from metallab.cluster.api import preload
from metallab.config import Lab, Machine
from metallab.errors import LabError
from metallab.events import Events, Step
from metallab.host import netns, provider, sandbox
from metallab.machines import inventory
from metallab.machines.inventory import Container
from metallab.machines.labdir import LabDir
from metallab.machines.vagrant import STAGGER
from metallab.run import capabilities
from metallab.run.wait import NotYet, pause, until
from metallab.site import Site, choose, existing, site
from metallab.workflow import Job

SSH_SECONDS = 120
GLANCE_SECONDS = 1.0
"""How long a machine that should be up may take to let us in before Vagrant is asked to bring it up."""


# -- lab.up ----------------------------------------------------------------------------------------------------


def bring_up(lab: Lab, events: Events) -> Site:
    """Bring machines and cluster up and return the site. Every error is a LabError; running it again goes on."""
    bundle = bundles.require()
    check_versions(lab, bundle)
    ready_site = prepare(lab, events)
    with lock.held(ready_site.labdir.lock, f"the lab {lab.name}"):
        workflow.perform(_jobs(ready_site, bundle), events)
    return ready_site


def _jobs(here: Site, bundle: Bundle) -> list[Job]:
    lab = here.lab
    control_plane = f"machine {lab.control_plane.name}"
    started: dict[str, datetime] = {}
    return [
        Job("kubernetes client", lambda _step: preload()),
        *(
            Job(f"machine {machine.name}", _machine_job(here, machine, index, started))
            for index, machine in enumerate(sorted(lab.machines, key=_importance))
        ),
        Job("control plane", _control_plane_job(here, bundle), after=(control_plane, "kubernetes client")),
        *(
            Job(f"join {worker.name}", _join_job(here, worker), after=(f"machine {worker.name}", "control plane"))
            for worker in lab.workers
        ),
        Job(
            "cluster ready",
            _ready_job(here, started),
            after=("control plane", *(f"join {worker.name}" for worker in lab.workers)),
        ),
    ]


def _importance(machine: Machine) -> int:
    """Order the starts: everything waits for the control plane, nothing for the client."""
    return ("control-plane", "worker", "client").index(machine.role)


def _machine_job(here: Site, machine: Machine, index: int, started: dict[str, datetime]) -> workflow.Do:
    def bring_machine_up(step: Step) -> None:
        runner = here.runner(machine)
        if runner.answers(GLANCE_SECONDS):
            step.skip("already up")
            return
        pause(index * STAGGER)
        if machine in here.lab.nodes:
            started[machine.name] = datetime.now(timezone.utc).replace(microsecond=0)
        here.vagrant.up(machine.name, step.progress, docker_name=inventory.container_name(here.lab, machine))

        def lets_us_in() -> None:
            if not runner.answers():
                raise NotYet(f"no SSH at {here.lab.address(machine)}")

        what = f"SSH to {machine.name}"
        until(lets_us_in, timeout=SSH_SECONDS, what=what, entry=errors.MACHINE_UNREACHABLE, on_wait=step.progress)
        step.result(str(here.lab.address(machine)))

    return bring_machine_up


def _control_plane_job(here: Site, bundle: Bundle) -> workflow.Do:
    def make_control_plane(step: Step) -> None:
        node = here.lab.control_plane
        runner = here.runner(node)
        podnet.configure(here.lab, node, runner)
        kubeadm.init(here.lab, runner, bundle.versions, step)
        here.labdir.write_secret(here.labdir.kubeconfig, kubeadm.kubeconfig(here.lab, runner))

    return make_control_plane


def _join_job(here: Site, worker: Machine) -> workflow.Do:
    def join(step: Step) -> None:
        runner = here.runner(worker)
        podnet.configure(here.lab, worker, runner)
        kubeadm.join(here.lab, worker, runner, here.cluster, step)

    return join


def _ready_job(here: Site, started: dict[str, datetime]) -> workflow.Do:
    returning = here.labdir.kubeconfig.exists()

    def wait_until_ready(step: Step) -> None:
        if returning:
            ready.wait_for_return(here.cluster, started, step)
        ready.wait_for_cluster(here.lab, here.cluster, here.node_runners(), step)

    return wait_until_ready


def check_versions(lab: Lab, bundle: Bundle) -> None:
    """Refuse a lab file that insists on a version the bundle does not hold. Raises LAB-CONF-003."""
    held = {"kubernetes": bundle.versions.kubernetes, "metallb": bundle.versions.metallb}
    for project, version in held.items():
        wanted = getattr(lab.versions, project)
        if wanted is not None and wanted.lstrip("v") != version.lstrip("v"):
            what = f"versions.{project} is {wanted}, the bundle holds {version}"
            raise LabError(errors.CONFIG_VERSION_MISMATCH, what)


# -- what Vagrant needs before it can start anything -------------------------------------------------------------


def prepare(lab: Lab, events: Events) -> Site:
    """Make what the machines are made from: keys, image clones, the sandbox, the image, Vagrant's inventory."""
    bundle = bundles.require()
    box = boxes.require(bundle)
    choice = choose(lab)
    provider.check_network_is_free(lab, choice)
    labdir = LabDir.of(lab)
    if not labdir.inventory.exists():
        provider.check_inotify(lab)
    with lock.held(labdir.lock, f"the lab {lab.name}"):
        labdir.prepare(lab)
        if choice.sandbox is not None:
            with events.step("sandbox") as step:
                sandbox.start(choice.sandbox, labdir.daemon_log, step)
        here = site(lab)
        with events.step("box in Docker") as step:
            image = box_docker.ensure_image(box, choice.environment, step)
        _give_images(here, bundle, box, image, events)
        _write_inventory(here, image)
    return here


def _give_images(here: Site, bundle: Bundle, box: Box, image: str, events: Events) -> None:
    """Give each node its /var/lib/containerd: a linked folder where root can make one, else a volume of the daemon."""
    lab, labdir = here.lab, here.labdir
    lacking = [node for node in lab.nodes if labdir.images_of(node.name) is None]
    if not lacking:
        return
    with events.step("container images") as step:
        if box.seed is not None and os.geteuid() == 0:
            for node in lacking:
                box_seed.clone(box.seed, labdir.images_folder(node.name))
            step.result(f"linked for {len(lacking)} nodes")
        else:
            volumes = {node.name: inventory.container_name(lab, node) for node in lacking}
            box_volumes.fill(box, bundle, image, lab.name, [*volumes.values()], here.choice.environment, step)
            for name, volume in volumes.items():
                labdir.note_volume(name, volume)
            step.result(f"in volumes for {len(lacking)} nodes")


def write_inventory(lab: Lab, _events: Events) -> Site:
    """Write what the Vagrantfile reads, for a `vagrant` typed by hand; makes no machine and starts no daemon."""
    here = site(lab)
    if not here.labdir.inventory.exists():
        here.labdir.prepare(lab)
        _write_inventory(here, box_docker.image_name(boxes.require(bundles.require())))
    return here


def _write_inventory(here: Site, image: str) -> None:
    lab, labdir = here.lab, here.labdir
    containers = {}
    for machine in lab.machines:
        environment = labdir.environment_of(machine.name)
        labdir.write_secret(environment, inventory.environment_file(lab, machine, labdir))
        images = labdir.images_of(machine.name) if machine in lab.nodes else None
        args = box_docker.create_args(environment, images, bounding_set=capabilities.own())
        containers[machine.name] = Container(inventory.container_name(lab, machine), image, args)
    namespace = netns.inside(here.choice.sandbox.namespace) if here.choice.sandbox is not None else ()
    record = inventory.resolve(
        lab, labdir, environment=here.choice.environment, namespace=namespace, containers=containers
    )
    labdir.write_secret(labdir.inventory, record.to_json())


# -- the other commands ----------------------------------------------------------------------------------------


def install_metallb(here: Site, events: Events) -> None:
    """Install MetalLB with the lab's pool; changes nothing when it is there."""
    with events.step("MetalLB") as step:
        metallb.install(here.lab, here.cluster, bundles.require().metallb_manifest, here.node_runners(), step)


def deploy_example(here: Site, events: Events) -> None:
    """Deploy the iperf3 server and its two services; changes nothing when they are there."""
    with events.step("iperf3 example") as step:
        example.deploy(here.lab, here.cluster, bundles.require().image_ref("iperf3"), step)


def halt(lab: Lab, events: Events) -> None:
    """Power every machine off, keeping what is on their disks."""
    here = existing(lab)
    with lock.held(here.labdir.lock, f"the lab {lab.name}"), events.step("power off") as step:
        here.vagrant.halt(step.progress)


def tear_down(lab: Lab, events: Events) -> None:
    """Remove machines, network, sandbox and keys. Works on a half-made or half-broken lab; the cache stays."""
    here = site(lab)
    labdir, box = here.labdir, here.choice.sandbox
    with lock.held(labdir.lock, f"the lab {lab.name}"):
        if labdir.path.exists() and (box is None or box.answers()):
            with events.step("machines") as step:
                if labdir.inventory.exists():
                    here.vagrant.destroy(step.progress)
                box_volumes.remove(lab.name, here.choice.environment)
        if box is not None:
            with events.step("sandbox"):
                sandbox.stop(box)
        here.vagrant.forget()
        labdir.remove()
