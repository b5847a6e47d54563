"""What no single value shows: roles, names, and how networks and addresses lie to each other. Needs no host.

Each finding says what to write instead, and the proposals of one run do not collide with each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import combinations, count, pairwise

from metallab import errors
from metallab.config.names import unfit
from metallab.config.problems import Finding, Path
from metallab.config.records import LEAST_MIB, NAME_LENGTH, POD_PREFIX, PREFIXES, PRIVATE, HostRange, Lab, Machine, Role
from metallab.config.source import Source

RANGES = ("network", "pods", "services")
MIDDLE = 12
"""The prefix of the widest range that is proposed."""
NAMED = 4
"""How many of the addresses that a pool covers are named."""


@dataclass(frozen=True)
class Draft:
    """The sound part of a lab: ``lab`` has defaults where the file is ``unsound``; what hangs on that is not judged.

    ``machines`` are those that are sound, with their number in the file.
    """

    lab: Lab
    machines: Sequence[tuple[int, Machine]]
    unsound: frozenset[str]
    source: Source

    def knows(self, *keys: str) -> bool:
        """Tell whether the values of these keys are as they are meant."""
        return not self.unsound & set(keys)

    def blame(self, *paths: Path) -> Path:
        """Return which of several values that do not go together is to be changed."""
        return self.source.blame(*paths)


def findings(draft: Draft) -> list[Finding]:
    """Return everything wrong with how the sound values go together."""
    hosts = _Hosts(draft)
    return [*_names(draft), *_ranges(draft), *hosts.findings(), *_roles(draft, hosts)]


def warnings(lab: Lab) -> list[str]:
    """Return a sentence for each machine that may be too small, where machines have memory of their own."""
    if lab.provider == "docker":
        return []
    return [
        f"{machine.name} has {machine.memory} MiB of memory, a {machine.role} needs {LEAST_MIB[machine.role]} as a "
        "virtual machine"
        for machine in lab.machines
        if machine.memory < LEAST_MIB[machine.role]
    ]


# -- names and roles ---------------------------------------------------------------------------------------------


def _names(draft: Draft) -> Iterator[Finding]:
    named: list[tuple[Path, str]] = [(("name",), draft.lab.name)] if draft.knows("name") else []
    named += [(("machines", index, "name"), machine.name) for index, machine in draft.machines]
    yield from unfit(named)
    used = {machine.name for _, machine in draft.machines}
    seen: dict[str, int] = {}
    for index, machine in draft.machines:
        if machine.name in seen:
            stem = machine.name[: NAME_LENGTH - len("-9999")].rstrip("-")
            other = next(name for number in count(2) if (name := f"{stem}-{number}") not in used)
            used.add(other)
            words = f"{machine.name!r} is already the name of machines[{seen[machine.name]}]; write for example {other}"
            yield Finding(errors.CONFIG_NAME, ("machines", index, "name"), words)
        seen.setdefault(machine.name, index)


def _roles(draft: Draft, hosts: _Hosts) -> Iterator[Finding]:
    usual: Mapping[Role, int] = {machine.role: machine.host for machine in Lab().machines}
    for role in ("control-plane", "client"):
        found = [(index, machine) for index, machine in draft.machines if machine.role == role]
        if not found and draft.knows("machines"):
            host = hosts.free(usual[role]) or "a free number"
            words = f"there is no {role}; add - {{name: {role}, role: {role}, host: {host}}}"
            yield Finding(errors.CONFIG_ROLES, ("machines",), words)
        for index, _ in found[1:]:
            words = f"a lab has one {role}, and {found[0][1].name} is it already; write worker, or remove the machine"
            yield Finding(errors.CONFIG_ROLES, ("machines", index, "role"), words)


# -- networks ----------------------------------------------------------------------------------------------------


def _ranges(draft: Draft) -> Iterator[Finding]:
    """Yield at most one finding a range; what is proposed stands in for it while the others are looked at."""
    known: dict[str, IPv4Network] = {key: getattr(draft.lab, key) for key in RANGES if draft.knows(key)}
    nodes = sum(machine.role != "client" for _, machine in draft.machines)
    bounds = {**PREFIXES, "pods": (0, POD_PREFIX - max(nodes - 1, 0).bit_length())}
    for key, network in known.items():
        widest, narrowest = bounds[key]
        blamed: Path = (key,)
        if not is_private(network):
            what = f"{network} is not a private range (RFC 1918)"
        elif widest <= network.prefixlen <= narrowest:
            continue
        elif key == "pods":
            blamed = draft.blame(("pods",), ("machines",))
            what = f"{network} has no room for a /{POD_PREFIX} a node, of which there are {nodes}"
        else:
            what = f"{network} should be between a /{widest} and a /{narrowest}"
        known[key] = free_range(key, known, bounds[key])
        yield Finding(errors.CONFIG_RANGES, blamed, f"{what}; write for example {key}: {known[key]}")
    for key, other in combinations(known, 2):
        if known[key].overlaps(known[other]):
            changed = str(draft.blame((key,), (other,))[0])
            kept = other if changed == key else key
            what = f"{known[changed]} overlaps {kept} {known[kept]}"
            known[changed] = free_range(changed, known, bounds[changed])
            yield Finding(errors.CONFIG_RANGES, (changed,), f"{what}; write for example {changed}: {known[changed]}")


def free_range(key: str, known: Mapping[str, IPv4Network], bounds: tuple[int, int]) -> IPv4Network:
    """Return the range of that key itself, or else a private one about as wide, that overlaps none of the others."""
    network = known[key]
    others = [other for name, other in known.items() if name != key and is_private(other)]
    widest, narrowest = bounds
    prefix = min(max(network.prefixlen, widest, MIDDLE), narrowest)
    usual: IPv4Network = Lab.model_fields[key].default
    ten, twelve, sixteen = PRIVATE
    small = sixteen.subnets(new_prefix=24) if key == "network" else iter(())
    homes = (network, usual, *small, *ten.subnets(new_prefix=16), twelve, sixteen)
    # The two others lie in two of the three private ranges at most, and a /16 fits into each.
    candidates = (
        IPv4Network((int(home.network_address), length), strict=False)
        for length in (prefix, max(prefix, sixteen.prefixlen))
        for home in homes
    )
    return next(found for found in candidates if is_private(found) and not any(map(found.overlaps, others)))


def is_private(network: IPv4Network) -> bool:
    """Tell whether a network lies inside a private range (RFC 1918)."""
    return any(network.subnet_of(private) for private in PRIVATE)


# -- addresses in the lab network ----------------------------------------------------------------------------------


class _Hosts:
    """Host numbers: who has which, and which are free."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._lab = draft.lab
        self._size = draft.lab.network.num_addresses
        self._taken: dict[int, tuple[Path, str]] = {1: (("network",), "the gateway")}
        self._written = {machine.host for _, machine in draft.machines}
        self._promised: set[int] = set()
        self._proposed: HostRange | None = draft.lab.pool

    def free(self, near: int) -> int | None:
        """Return the free host number closest to ``near``, and keep it from being proposed twice."""
        start = min(max(near, 2), self._size - 2)
        found = [number for step in (1, -1) if (number := self._next_free(start, step)) is not None]
        if not found:
            return None
        nearest = min(found, key=lambda number: abs(number - start))
        self._promised.add(nearest)
        return nearest

    def _next_free(self, number: int, step: int) -> int | None:
        while 1 < number < self._size - 1:
            pool = next((pool for pool in self._pools if pool.first <= number <= pool.last), None)
            if pool is not None:
                number = pool.last + 1 if step > 0 else pool.first - 1
            elif number in self._written or number in self._promised:
                number += step
            else:
                return number
        return None

    @property
    def _pools(self) -> list[HostRange]:
        """Return what a machine cannot have: the pool, and the one proposed in its place."""
        return [pool for pool in (self._lab.pool, self._proposed) if pool is not None and self._draft.knows("pool")]

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with machines' host numbers, the pool and the shared address."""
        pool: HostRange | None = self._lab.pool
        if self._draft.knows("network"):
            yield from self._machines()
            if self._draft.knows("pool"):
                yield from self._pool()
                pool = self._proposed
        if pool is not None and self._draft.knows("pool", "sharedAddress"):
            yield from self._shared(pool)

    def _machines(self) -> Iterator[Finding]:
        for index, machine in self._draft.machines:
            path: Path = ("machines", index, "host")
            what = self._unusable(machine.host)
            if what is None and machine.host in self._taken:
                what = f"{self._lab.at(machine.host)} is already {self._taken[machine.host][1]}"
            if what is None:
                self._taken[machine.host] = (path, machine.name)
                continue
            blamed = self._draft.blame(path, ("network",))
            if blamed != path and self._draft.source.place(path) is None:
                words = f"{machine.name}: {what}; write a wider network, or machines: with other host numbers"
            else:
                blamed, words = path, f"{what}{self._instead(machine.host)}"
            yield Finding(errors.CONFIG_ADDRESS, blamed, words)

    def _instead(self, near: int) -> str:
        number = self.free(near)
        if number is None:
            return "; no host number is free: write a smaller pool or a wider network"
        return f"; write {number}"

    def _unusable(self, host: int) -> str | None:
        if host >= self._size:
            return f"host number {host} does not fit into {self._lab.network} (2 to {self._size - 2})"
        if host == self._size - 1:
            return f"{self._lab.at(host)} is the broadcast address of {self._lab.network}"
        return None

    def _pool(self) -> Iterator[Finding]:
        pool = self._lab.pool
        what = self._unusable(pool.last) or self._unusable(pool.first)
        if what is not None:
            blamed = self._draft.blame(("pool",), ("network",))
            yield Finding(errors.CONFIG_ADDRESS, blamed, f"the pool {pool} ends outside: {what}; {self._another(pool)}")
            return
        covered = {host: owner for host, owner in sorted(self._taken.items()) if pool.first <= host <= pool.last}
        mine = [host for host, (path, _) in covered.items() if host == 1 or self._draft.blame(path, ("pool",)) != path]
        set_aside = set(mine)
        if mine:
            told = ", ".join(f"{self._lab.at(host)} ({covered[host][1]})" for host in mine[:NAMED])
            more = f" and {len(mine) - NAMED} more" if len(mine) > NAMED else ""
            yield Finding(errors.CONFIG_ADDRESS, ("pool",), f"{pool} covers {told}{more}; {self._another(pool)}")
        for host in (host for host in covered if host not in set_aside):
            words = f"{self._lab.at(host)} lies in the pool {pool}{self._instead(host)}"
            yield Finding(errors.CONFIG_ADDRESS, covered[host][0], words)

    def _another(self, pool: HostRange) -> str:
        self._proposed = self._fit(pool)
        if self._proposed is None:
            return "no host number is free: write a wider network"
        return f"write pool: {self._proposed}"

    def _fit(self, pool: HostRange) -> HostRange | None:
        """Return the pool closest to ``pool`` that covers nothing, as long as it or else as long as possible."""
        used = sorted({1, self._size - 1, *self._promised, *(host for host in self._taken if host < self._size)})
        length = pool.last - pool.first + 1
        fits = []
        for low, high in ((before + 1, after - 1) for before, after in pairwise(used) if after - before > 1):
            first = max(min(pool.first, high - length + 1), low)
            fits.append(HostRange(first=first, last=min(first + length - 1, high)))
        return min(fits, key=lambda fit: (fit.first - fit.last, abs(fit.first - pool.first)), default=None)

    def _shared(self, pool: HostRange) -> Iterator[Finding]:
        shared = self._lab.shared_address
        if pool.first <= shared <= pool.last:
            return
        nearest = min(max(shared, pool.first), pool.last)
        name = f"the pool {pool}" if pool == self._lab.pool else f"the proposed pool {pool}"
        if self._draft.source.place(("sharedAddress",)) is not None:
            words = f"{shared} is outside {name}; write {nearest}"
            yield Finding(errors.CONFIG_ADDRESS, ("sharedAddress",), words)
        else:
            words = f"{name} does not hold the shared address, {shared} unless written; add sharedAddress: {nearest}"
            is_written = self._draft.source.place(("pool",)) is not None
            yield Finding(errors.CONFIG_ADDRESS, ("pool",) if is_written else ("network",), words)
