"""Whether the machines of a lab fit into this host's processors and memory; virtual machines have their own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from metallab import errors
from metallab.config import LEAST_MIB, Lab, Machine
from metallab.errors import LabError
from metallab.host.fields import mebibytes

MEMINFO = Path("/proc/meminfo")
LEFT_MIB = 1024
"""What the host itself keeps."""
OVERHEAD_MIB = 150
"""What QEMU needs beside a guest's own memory. Emulating, it was seen to take 195, and 1023 of translated code, which
nothing here reckons with: QEMU's buffer is 1 GiB, or an eighth of the host's memory where that is less."""


@dataclass(frozen=True)
class Size:
    """What one machine gets: processors, and memory in MiB."""

    cpus: int
    memory: int


def fit(
    lab: Lab, *, total: int | None = None, processors: int | None = None, emulated: bool = False
) -> dict[str, Size]:
    """Return each machine's size, made smaller where the host could not carry what lab.yaml asks for.

    ``total`` (MiB) and ``processors`` are the host's own unless given; what is free at the moment does not count, so
    that the answer is the same with the machines up. ``emulated``: all but the control plane get a second processor
    only where the host has one for it. Raises LAB-HOST-012 where even the least would be too much.
    """
    room = (_memory("MemTotal") if total is None else total) - LEFT_MIB - OVERHEAD_MIB * len(lab.machines)
    cores = processors or len(os.sched_getaffinity(0))
    least = _least(lab)
    spare = room - sum(least.values())
    if spare < 0:
        raise _too_small(room + OVERHEAD_MIB * len(lab.machines), lab)
    asked = sum(machine.memory for machine in lab.machines) - sum(least.values())
    share = 1.0 if asked <= spare else spare / asked
    cpus = _processors(lab, cores, emulated=emulated)
    return {
        machine.name: Size(
            cpus=cpus[machine.name],
            memory=least[machine.name] + int((machine.memory - least[machine.name]) * share),
        )
        for machine in lab.machines
    }


def made_smaller(lab: Lab) -> list[str]:
    """Return a sentence for each machine that gets less than lab.yaml asks for, for this host has no more.

    What emulation alone takes is not in it: `fewer_processors` tells that.
    """
    sizes = fit(lab)
    return [
        f"{machine.name} gets {' and '.join(short)}, all that this host can give it"
        for machine in lab.machines
        if (short := _short(machine, sizes[machine.name]))
    ]


def _short(machine: Machine, given: Size) -> list[str]:
    pairs = (given.cpus, machine.cpus, "processors"), (given.memory, machine.memory, "MiB")
    return [f"{has} of {asked} {unit}" for has, asked, unit in pairs if has < asked]


def fewer_processors(lab: Lab) -> str | None:
    """Return which emulated machines get fewer processors than the host could give, and why; None where none does."""
    most, given = fit(lab), fit(lab, emulated=True)
    fewer = [f"{name} {size.cpus} of {most[name].cpus}" for name, size in given.items() if size.cpus < most[name].cpus]
    if not fewer:
        return None
    return f"fewer processors than this host could give, as emulated machines wait for each other's: {', '.join(fewer)}"


def check_memory(lab: Lab) -> None:
    """Refuse to begin where not even the least is free at the moment. Raises LAB-HOST-012."""
    free = _memory("MemAvailable")
    if free < sum(_least(lab).values()) + OVERHEAD_MIB * len(lab.machines):
        raise _too_small(free, lab)


def memory() -> tuple[int, int]:
    """Return this host's memory and what of it can be had at the moment, in MiB."""
    return _memory("MemTotal"), _memory("MemAvailable")


def _processors(lab: Lab, cores: int, *, emulated: bool) -> dict[str, int]:
    """Return each machine's processors.

    Emulated ones get in each other's way: threads of one machine wait for a lock of its devices, and who is descheduled
    with it stops the others. Three machines of two processors on two cores needed 40 s for what three of one did in 27
    (twelve ``kubeadm version``). Only the control plane keeps its own: with one, an API server that starts cannot
    answer itself within its ten seconds for a TLS handshake, and gives up.
    """
    most = {machine.name: min(machine.cpus, cores) for machine in lab.machines}
    if not emulated:
        return most
    given = {name: asked if name == lab.control_plane.name else 1 for name, asked in most.items()}
    spare = max(0, cores - sum(given.values()))
    for name, asked in most.items():
        more = min(asked - given[name], spare)
        given[name] += more
        spare -= more
    return given


def _least(lab: Lab) -> dict[str, int]:
    return {machine.name: min(machine.memory, LEAST_MIB[machine.role]) for machine in lab.machines}


def _too_small(there: int, lab: Lab) -> LabError:
    needed = sum(_least(lab).values()) + OVERHEAD_MIB * len(lab.machines)
    what = f"{there} MiB of memory can be had, the machines of {lab.name} need {needed} MiB"
    return LabError(errors.HOST_MEMORY, what)


def _memory(name: str) -> int:
    found = mebibytes(MEMINFO.read_text(encoding="ascii"), name)
    if found is None:
        raise LabError(errors.HOST_MEMORY, f"{MEMINFO} does not say {name}")
    return found
