"""What a provider does for a lab before and after Vagrant: the same few questions for each of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from metallab import errors
from metallab.box import Box
from metallab.bundle import Bundle
from metallab.config import Machine
from metallab.errors import LabError
from metallab.events import Events
from metallab.host.packages import Purpose
from metallab.site import Site

Settings = dict[str, Any]
ASK_SECONDS = 10.0


@dataclass(frozen=True)
class Common:
    """What the Vagrantfile is told once for all machines of a lab.

    ``netmask`` is written the way the provider takes it. ``network`` holds its own options of the lab network.
    ``first_key`` says that machines come with Vagrant's well-known key and are given the lab's when first up.
    """

    netmask: str
    box: str | None = None
    box_version: str | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    first_key: bool = False


def refuse_stopped(states: Mapping[str, str], running: Collection[str]) -> None:
    """Refuse to keep a lab of which a machine is off: what is put back should be a lab that works.

    ``states`` are the machines' in the provider's words, ``running`` those that are good. Raises LAB-MACH-012.
    """
    stopped = [f"{name}: {state}" for name, state in states.items() if state not in running]
    if stopped:
        raise LabError(errors.SNAPSHOT_IMPOSSIBLE, f"not all machines run ({', '.join(stopped)})")


class Provider(Protocol):
    """One provider. It holds no state; everything is read from the site it is given."""

    @property
    def name(self) -> str: ...  # noqa: D102 - Vagrant's name for it
    @property
    def purposes(self) -> tuple[Purpose, ...]: ...  # noqa: D102 - what the host must be fit for

    def build_box(self, box: Box, events: Events, *, rebuild: bool = False) -> None:
        """Make the box's wrapping for this provider, unless it is there. Raises LAB-BOX-001."""
        ...

    def fetch(self, here: Site, bundle: Bundle, box: Box, events: Events) -> None:
        """Have what may come from outside: asked while this process is still in the host's own network."""
        ...

    def make_ready(self, here: Site, bundle: Bundle, box: Box, events: Events) -> None:
        """Have what machines are made from where the provider looks for it; done before, nothing happens."""
        ...

    def common(self, here: Site, box: Box) -> Common:
        """Return what the Vagrantfile is told once."""
        ...

    def settings(self, here: Site, box: Box, machine: Machine) -> Settings:
        """Return what the Vagrantfile is told of one machine, in the provider's own words."""
        ...

    def guest(self, here: Site, bundle: Bundle, machine: Machine) -> Mapping[str, str]:
        """Return what makes a machine of another box one of the lab; nothing where its box is the lab's own."""
        ...

    def leftovers(self, here: Site, machine: Machine) -> Sequence[Sequence[str]]:
        """Return the commands that remove what an interrupted ``up`` left of a machine Vagrant does not know."""
        ...

    def clean(self, here: Site) -> None:
        """Remove what was made for this one lab besides its machines, once these are gone."""
        ...

    def running(self, machines: Sequence[Mapping[str, Any]], environment: Mapping[str, str]) -> frozenset[str]:
        """Return which machines of a lab's inventory run, by their names in the lab.

        ``environment`` leads to the lab's daemon. Raises a LabError when that does not answer.
        """
        ...

    @property
    def own_clock(self) -> bool: ...  # noqa: D102 - whether a machine's clock stands still with the machine

    def save(self, here: Site, name: str, events: Events) -> None:
        """Keep all machines as of one moment under ``name``, over what an interrupted save left; they then go on.

        Whoever calls says afterwards that it is whole, or calls :meth:`drop`. Raises LAB-MACH-012 when not all
        machines run, or the provider cannot.
        """
        ...

    def restore(self, here: Site, name: str, events: Events) -> None:
        """Put all machines back to what ``name`` keeps; those that do not run then are brought up by ``lab.up``.

        Begun and not ended, it can be called again. Raises LAB-MACH-010, with nothing touched, when a part is missing.
        """
        ...

    def power_off(self, here: Site, machine: Machine) -> None:
        """Cut a machine's power: nothing on it can say goodbye. ``lab.up`` brings it back."""
        ...

    def drop(self, here: Site, name: str) -> None:
        """Remove what is kept under ``name``, whole or not; there need not be anything."""
        ...
