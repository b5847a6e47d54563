"""The story of a bring-up: read this and you know the lab.

Every step first looks whether it is already done, so running a command again changes nothing, and running it after
an interruption goes on where that stopped. What depends on what is written beside each job; the rest overlaps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone

from metallab import box as boxes
from metallab import bundle as bundles
from metallab import errors, lock, outlook, paths, providers, refusals, workflow
from metallab.box import Box
from metallab.bundle import Bundle
from metallab.cluster import example, kubeadm, metallb, podnet, ready, tuning
from metallab.cluster.api import preload
from metallab.config import Lab, Machine
from metallab.errors import LabError
from metallab.events import Events, Step
from metallab.host import capacity, doctor, netns, sandbox
from metallab.host.doctor import Case, Finding
from metallab.host.provider import LAB_TAKES
from metallab.machines import inventory, kubeconfig
from metallab.machines.labdir import LabDir
from metallab.machines.vagrant import STAGGER
from metallab.run import pace
from metallab.run.wait import NotYet, WaitTimedOut, pause, until
from metallab.site import Site, choose, existing, site
from metallab.workflow import Job

UP_SECONDS = 600
"""How long one `vagrant up` may take, at the machine's pace."""
SSH_SECONDS = 120
GLANCE_SECONDS = 1.0
"""How long a machine that should be up may take to let us in before Vagrant is asked to bring it up."""


SLOW = f"""\
no KVM here ({{evidence}}), so every instruction of the machines is emulated: \
expect {LAB_TAKES[False]} instead of {LAB_TAKES[True]}"""


# -- lab.up ----------------------------------------------------------------------------------------------------


def bring_up(lab: Lab, events: Events, first: Callable[[Site], None] = lambda _site: None) -> Site:
    """Bring machines and cluster up and return the site. Every error is a LabError; running it again goes on.

    ``first`` is done before the jobs, with the lab's lock held and this process in the lab's network.
    """
    bundle = require_bundle(lab)
    check_versions(lab, bundle)
    refuse_half_restored(lab)
    ready_site = prepare(lab, events)
    with lock.held(ready_site.labdir.lock, f"the lab {lab.name}"):
        first(ready_site)
        workflow.perform(jobs(ready_site, lambda: bundle), events)
    return ready_site


def require_bundle(lab: Lab) -> Bundle:
    """Return the bundle. Raises LAB-BNDL-002 without one, or first what keeps every provider from running here.

    Nobody should build for twenty minutes to be told that only root can go on.
    """
    if bundles.find() is None:
        choose(lab)
    return bundles.require()


def bring_back(here: Site, events: Events) -> None:
    """Bring up a prepared lab whose machines were exchanged; whoever calls holds the lab's lock."""
    bundle = bundles.require()
    _write_inventory(here, bundle, boxes.require(bundle))
    workflow.perform(jobs(here, lambda: bundle), events)


def refuse_half_restored(lab: Lab) -> None:
    """Refuse to go on with machines of which some are of another time than the rest. Raises LAB-MACH-013."""
    try:
        name = refusals.own_text(LabDir.of(lab).restoring)
    except FileNotFoundError:
        return
    fix = f"run: ./inv lab.snapshot.restore {name} again, or: ./inv lab.destroy --yes"
    raise LabError(errors.SNAPSHOT_HALF, f"restoring {name} was interrupted", fix=fix)


def jobs(here: Site, bundle: Callable[[], Bundle]) -> list[Job]:
    """Return the story from the first machine on: what is done, and how it is looked at without doing it."""
    lab = here.lab
    control_plane = f"machine {lab.control_plane.name}"
    started: dict[str, datetime] = {}
    return [
        Job("kubernetes client", lambda _step: preload()),
        *(
            Job(
                f"machine {machine.name}",
                _machine_job(here, machine, index, started),
                look=outlook.machine(here, machine, GLANCE_SECONDS),
            )
            for index, machine in enumerate(sorted(lab.machines, key=_importance))
        ),
        Job(
            "control plane",
            _control_plane_job(here, bundle),
            after=(control_plane, "kubernetes client"),
            look=outlook.control_plane(here),
        ),
        *(
            Job(
                f"join {worker.name}",
                _join_job(here, worker),
                after=(f"machine {worker.name}", "control plane"),
                look=outlook.join(here, worker),
            )
            for worker in lab.workers
        ),
        Job(
            "cluster ready",
            _ready_job(here, started),
            after=("control plane", *(f"join {worker.name}" for worker in lab.workers)),
            look=outlook.ready,
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
        provider = providers.of(here.choice.provider)
        leftovers = provider.leftovers(here, machine)
        step.progress("vagrant up")
        here.vagrant.up(
            machine.name,
            step.progress,
            seconds=pace.scaled(UP_SECONDS),
            leftovers=leftovers,
            new=not here.is_known(machine),
        )

        def lets_us_in() -> None:
            if not runner.answers():
                raise NotYet(f"no SSH at {here.lab.address(machine)}")

        what, entry = f"SSH to {machine.name}", errors.MACHINE_UNREACHABLE
        try:
            until(lets_us_in, timeout=SSH_SECONDS, what=what, entry=entry, on_wait=step.progress)
        except WaitTimedOut as error:
            # Vagrant is content, so the machine runs: what it thinks its addresses are names the cause.
            error.detail += f"\nthe machine itself says:\n{here.vagrant.addresses(machine.name) or '(nothing)'}"
            raise
        slowness = here.calibrate(machine)
        words = "" if slowness < tuning.SLOW else f", {slowness:.0f} times slower than an ordinary machine"
        step.result(f"{here.lab.address(machine)}{words}")

    return bring_machine_up


def _control_plane_job(here: Site, bundle: Callable[[], Bundle]) -> workflow.Do:
    def make_control_plane(step: Step) -> None:
        node = here.lab.control_plane
        runner = here.runner(node)
        podnet.configure(here.lab, node, runner)
        kubeadm.init(here.lab, runner, bundle().versions, step, tuning.of(pace.own(), pace.factor()))
        here.labdir.write_secret(here.labdir.kubeconfig, kubeadm.kubeconfig(here.lab, runner))

    return make_control_plane


def _join_job(here: Site, worker: Machine) -> workflow.Do:
    def join(step: Step) -> None:
        runner = here.runner(worker)
        podnet.configure(here.lab, worker, runner)
        kubeadm.join(here.lab, worker, runner, here.cluster, step, tuning.of(pace.own(), pace.factor()))

    return join


def _ready_job(here: Site, started: dict[str, datetime]) -> workflow.Do:
    returning = here.labdir.kubeconfig.exists()

    def wait_until_ready(step: Step) -> None:
        if returning:
            ready.wait_for_return(here.cluster, started, step)
        said = ready.wait_for_cluster(here.lab, here.cluster, here.node_runners(), step)
        silent = metallb.wait_for_announcers(here.cluster, step) if started and returning else ""
        step.result(", ".join(filter(None, (said, silent))))

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
    """Make what the machines are made from: keys, the sandbox, the box where the provider wants it, the inventory."""
    bundle = bundles.require()
    box = boxes.require(bundle)
    here = Site.of(lab)
    choice, labdir = here.choice, here.labdir
    provider = providers.of(choice.provider)
    refuse_other_provider(lab, choice.provider)
    is_new = not labdir.inventory.exists()
    if is_new:
        events.note(f"provider {choice.provider}: {choice.reason}")
        if not choice.accelerated:
            events.warn(SLOW.format(evidence=choice.evidence))
    if choice.warning:
        events.warn(choice.warning)
    _examine(here, bundle, events, is_new=is_new)
    if is_new and not choice.accelerated:
        fewer = capacity.fewer_processors(lab)
        if fewer is not None:
            events.note(fewer)
    with lock.held(labdir.lock, f"the lab {lab.name}"):
        labdir.prepare(here.lab)
        provider.fetch(here, bundle, box, events)
        if choice.sandbox is not None:
            with events.step("sandbox") as step:
                sandbox.start(choice.sandbox, labdir.daemon_log, step, batch=not choice.accelerated)
        here = here.inside()
        provider.make_ready(here, bundle, box, events)
        _write_inventory(here, bundle, box)
    return here


def examine(here: Site, bundle: Bundle | None, *, is_new: bool) -> tuple[Finding, ...]:
    """Refuse a host on which the lab would fail, with all the reasons at once; return what was found otherwise.

    A lab that has machines has shown what the host can carry; only what may have changed under it is looked at.
    Touches nothing. Raises LAB-HOST-020, or the one error there is.
    """
    bundled = None if bundle is None else bundle.made
    findings = doctor.examine(Case(here.lab, here.choice.provider, here.choice, exists=not is_new, bundled=bundled))
    error = doctor.refusal(findings, here.lab)
    if error is not None:
        raise error
    return findings


def _examine(here: Site, bundle: Bundle, events: Events, *, is_new: bool) -> None:
    """Examine the host as a step, where that takes a second, and say what may surprise."""
    if is_new:
        with events.step("this host") as step:
            findings = examine(here, bundle, is_new=is_new)
            unseen = [finding.id for finding in findings if finding.state == "unseen"]
            step.result(f"{len(findings)} checks" + (f", not made: {', '.join(unseen)}" if unseen else ""))
    else:
        findings = examine(here, bundle, is_new=is_new)
    for finding in findings:
        if finding.state == "warn":
            events.warn(f"{finding.id}: {finding.verdict.seen}")


def refuse_other_provider(lab: Lab, made_with: str) -> None:
    """Refuse to go on with a lab on another provider than its machines were made with. Raises LAB-PROV-005."""
    if lab.provider not in ("auto", made_with):
        what = f"the lab {lab.name} was made with {made_with}, not {lab.provider}"
        raise LabError(errors.PROVIDER_OTHER, what)


def write_inventory(lab: Lab, _events: Events) -> Site:
    """Write what the Vagrantfile reads, for a `vagrant` typed by hand; makes no machine and starts no daemon."""
    here = site(lab)
    if not here.labdir.inventory.exists():
        here.labdir.prepare(here.lab)
        bundle = bundles.require()
        _write_inventory(here, bundle, boxes.require(bundle))
    return here


def _write_inventory(here: Site, bundle: Bundle, box: Box) -> None:
    lab, labdir, choice = here.lab, here.labdir, here.choice
    provider = providers.of(choice.provider)
    for machine in lab.machines:
        labdir.write_secret(labdir.identity_of(machine.name), inventory.identity(lab, machine, labdir))
    record = inventory.resolve(
        lab,
        labdir,
        provider=choice.provider,
        accelerated=choice.accelerated,
        environment=choice.environment,
        namespace=netns.inside(choice.sandbox.namespace) if choice.sandbox is not None else (),
        common=asdict(provider.common(here, box)),
        settings={machine.name: provider.settings(here, box, machine) for machine in lab.machines},
        guests={machine.name: provider.guest(here, bundle, machine) for machine in lab.machines},
    )
    labdir.write_secret(labdir.record, inventory.origin(lab, paths.lab_file()))
    labdir.write_secret(labdir.inventory, record.to_json())


# -- the other commands ----------------------------------------------------------------------------------------


def install_metallb(here: Site, events: Events) -> None:
    """Install MetalLB with the lab's pool; changes nothing when it is there."""
    with events.step("MetalLB") as step:
        manifest, chosen = bundles.require().metallb_manifest, tuning.of(pace.own())
        metallb.install(here.lab, here.cluster, manifest, here.node_runners(), step, chosen)


def deploy_example(here: Site, events: Events) -> None:
    """Deploy the iperf3 server and its two services; changes nothing when they are there."""
    with events.step("iperf3 example") as step:
        example.deploy(here.lab, here.cluster, bundles.require().image_ref("iperf3"), step)


def complete(here: Site, events: Events) -> None:
    """Install MetalLB and deploy the example where nothing of them is there; what is there stays as it is.

    A proof has to judge the lab it finds, so nothing is healed here.
    """
    if not metallb.is_there(here.cluster):
        install_metallb(here, events)
    if not example.is_there(here.cluster):
        deploy_example(here, events)


def halt(lab: Lab, events: Events) -> None:
    """Power every machine off, keeping what is on their disks.

    All at once: asked for all of them, Vagrant takes one after the other and waits up to a minute for each.
    """
    here = existing(lab)
    jobs = [
        Job(f"power off {machine.name}", _halt_job(here, machine, index)) for index, machine in enumerate(lab.machines)
    ]
    with lock.held(here.labdir.lock, f"the lab {lab.name}"):
        workflow.perform(jobs, events)


def _halt_job(here: Site, machine: Machine, index: int) -> workflow.Do:
    def power_off(step: Step) -> None:
        pause(index * STAGGER)
        here.vagrant.halt(machine.name, step.progress)

    return power_off


def tear_down(lab: Lab, events: Events) -> None:
    """Remove machines, network, sandbox and keys. Works on a half-made or half-broken lab; the cache stays."""
    here = site(lab)
    labdir, box = here.labdir, here.choice.sandbox
    with lock.held(labdir.lock, f"the lab {lab.name}"):
        if labdir.path.exists() and (box is None or box.answers()):
            with events.step("machines") as step:
                try:
                    if labdir.inventory.exists():
                        here.vagrant.destroy(step.progress)
                    providers.of(here.choice.provider).clean(here)
                except LabError as error:
                    if box is None:
                        raise
                    step.fail(f"{error.what}; they end with their daemon, which is the lab's own")
        if box is not None:
            with events.step("sandbox") as step:
                step.progress(f"{box.daemon.program} and all in it end")
                sandbox.stop(box)
        kubeconfig.withdraw(lab, labdir, events)
        here.vagrant.forget()
        labdir.remove()
