"""Snapshots of a lab: all machines kept as of one moment, and put back until the cluster works again.

What is kept, and how, is the provider's; that it is whole is said by a record which is written last and removed first.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone

from metallab import config, errors, lock, providers, refusals, steps, workflow
from metallab.cluster import ready
from metallab.config import Lab, Machine
from metallab.errors import LabError
from metallab.events import Events, Step
from metallab.machines import clock, snapshot
from metallab.machines.labdir import LabDir
from metallab.machines.snapshot import Snapshot
from metallab.run.wait import NotYet, until
from metallab.site import Site, existing
from metallab.workflow import Job

SSH_SECONDS = 60
"""How long a machine that goes on may take to let us in; an ordinary one takes none."""


def save(lab: Lab, name: str, events: Events) -> Snapshot:
    """Keep all machines of a running lab, wait until it works again, and return the record.

    Interrupted or failed, nothing is kept. Raises LAB-MACH-011 for a name that is taken or none, LAB-MACH-012 when not
    all machines run or the provider cannot.
    """
    _check_name(name)
    here = existing(lab)
    provider, labdir = providers.of(here.choice.provider), here.labdir
    with lock.held(labdir.lock, f"the lab {lab.name}"):
        steps.refuse_half_restored(lab)
        if any(known.name == name for known in snapshot.recorded(labdir)):
            raise LabError(errors.SNAPSHOT_NAME, f"there is a snapshot {name} already")
        made = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        snapshot.begin(labdir, name)
        try:
            provider.save(here, name, events)
        except BaseException:
            with contextlib.suppress(LabError):
                provider.drop(here, name)
                snapshot.forget(labdir, name)
            raise
        machines = tuple(machine.name for machine in lab.machines)
        kept = Snapshot(name, made, machines, snapshot.layout(lab))
        snapshot.record(labdir, kept)
        _set_clocks(here, events)
        with events.step("cluster ready") as step:
            step.result(ready.wait_for_cluster(here.lab, here.cluster, here.node_runners(), step))
    return kept


def restore(lab: Lab, name: str, events: Events) -> Snapshot:
    """Put all machines back, wait for all that ``lab.up`` waits for, and return the snapshot's record.

    Interrupted, it can be called again; nothing else goes on with the lab before. Raises LAB-MACH-010 for a snapshot
    there is not, LAB-MACH-012 when lab.yaml describes other machines by now.
    """
    kept = snapshot.require(existing(lab).labdir, name)
    if kept.layout != snapshot.layout(lab):
        what = f"lab.yaml has other machines, addresses or networks than when {name} was saved"
        raise LabError(errors.SNAPSHOT_IMPOSSIBLE, what, fix="put lab.yaml back to what it was, or make the lab anew")
    here = steps.prepare(lab, events)
    provider, labdir = providers.of(here.choice.provider), here.labdir
    with lock.held(labdir.lock, f"the lab {lab.name}"):
        # Asked again now that nobody else can delete it.
        snapshot.require(labdir, name)
        before = refusals.own_text(labdir.restoring) if labdir.restoring.exists() else None
        labdir.write_secret(labdir.restoring, name)
        try:
            provider.restore(here, name, events)
        except LabError as error:
            # Nothing was touched then: the lab is what it was, which may be half of another restore.
            if error.entry is errors.SNAPSHOT_UNKNOWN:
                if before is None:
                    labdir.restoring.unlink()
                else:
                    labdir.write_secret(labdir.restoring, before)
            raise
        labdir.restoring.unlink()
        _set_clocks(here, events)
        steps.bring_back(here, events)
    return kept


def delete(lab: Lab, name: str, events: Events) -> None:
    """Remove a snapshot, also what an interrupted command left of one. Raises LAB-MACH-010."""
    here = existing(lab)
    with lock.held(here.labdir.lock, f"the lab {lab.name}"), events.step(f"snapshot {name}"):
        if not (config.is_name(name) and snapshot.disown(here.labdir, name)):
            snapshot.require(here.labdir, name)
        providers.of(here.choice.provider).drop(here, name)
        snapshot.forget(here.labdir, name)


def recorded(lab: Lab) -> tuple[Snapshot, ...]:
    """Return the lab's snapshots, the oldest first; none for a lab that is not up. Asks no daemon."""
    return snapshot.recorded(LabDir.of(lab))


def _check_name(name: str) -> None:
    if not config.is_name(name):
        what = f"{name!r} has not the form of a name"
        fix = f"use up to {config.NAME_LENGTH} of a-z, 0-9 and single dashes, a letter first"
        raise LabError(errors.SNAPSHOT_NAME, what, fix=fix)


def _set_clocks(here: Site, events: Events) -> None:
    """Set the clocks of machines whose time stood still while they did. Containers have the host's own."""
    if providers.of(here.choice.provider).own_clock:
        jobs = [Job(f"clock of {machine.name}", _clock_job(here, machine)) for machine in here.lab.machines]
        workflow.perform(jobs, events)


def _clock_job(here: Site, machine: Machine) -> workflow.Do:
    runner = here.runner(machine)

    def lets_us_in() -> None:
        if not runner.answers():
            raise NotYet(f"no SSH at {here.lab.address(machine)}")

    def set_clock(step: Step) -> None:
        what = f"SSH to {machine.name}"
        until(lets_us_in, timeout=SSH_SECONDS, what=what, entry=errors.MACHINE_UNREACHABLE, on_wait=step.progress)
        late = clock.set_right(runner)
        step.result(f"was {late:.1f} s late" if abs(late) > clock.BEARABLE_SECONDS else "right")

    return set_clock
