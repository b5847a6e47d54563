"""What differs between the providers, one module each behind one protocol; nothing outside asks which one it is."""

from metallab.providers.base import Provider
from metallab.providers.docker import Docker
from metallab.providers.libvirt import Libvirt
from metallab.providers.virtualbox import VirtualBox

__all__ = ["Provider", "of"]

_ALL: dict[str, Provider] = {provider.name: provider for provider in (Docker(), Libvirt(), VirtualBox())}


def of(name: str) -> Provider:
    """Return a provider by Vagrant's name for it."""
    return _ALL[name]
