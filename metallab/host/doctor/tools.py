"""Programs: whether they are there, and of versions that are known to work together."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence

from metallab import errors
from metallab.host import packages, provider
from metallab.host.doctor.records import Case, Check, Verdict, fail, ok, unseen, warn
from metallab.host.packages import FOR_A_LAB, Package, Purpose
from metallab.run.local import run
from metallab.run.result import CommandTimedOut, ToolMissing

ASK_SECONDS = 20
Version = tuple[int, ...]
LAST_BEFORE, FIRST_AFTER = (2, 3, 4), (2, 4, 1)
"""Vagrant's versions around the ones with which users could not run vagrant-libvirt: vagrant-libvirt issue 1749."""
KNOWN_GOOD = "2.3.4 and 2.4.1 or newer are known to work"
OLDEST_VAGRANT, NEWEST_VAGRANT = (2, 3), (2, 5)
PURPOSES: Mapping[str, tuple[tuple[Purpose, ...], tuple[Purpose, ...]]] = {
    "docker": (("docker",), ()),
    "libvirt": (("libvirt",), ("disk",)),
    "virtualbox": (("virtualbox",), ("disk",)),
}
"""What a provider's lab needs programs for: to run, and to have its box made."""


def version_in(text: str) -> Version | None:
    """Return the first version number in a text."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


# -- packages --------------------------------------------------------------------------------------------------


def needed_packages(case: Case) -> Verdict | None:
    """Look for the programs; what only bundle and box are made with is not needed once there is a bundle."""
    to_run, to_make = PURPOSES[case.provider]
    if case.bundled is None:
        return judge_packages(packages.missing(*FOR_A_LAB, *to_run, *to_make), (), provider=case.provider)
    for_box = packages.missing(*to_make) if to_make else ()
    return judge_packages(packages.missing("lab", *to_run), for_box, provider=case.provider)


def judge_packages(missing: Sequence[Package], for_box: Sequence[Package], *, provider: str) -> Verdict:
    """Judge what is missing; ``for_box`` is what only the provider's box is made with, which may be there already."""
    fix = f"./inv setup --provider {provider}"
    if missing:
        return fail(errors.HOST_PACKAGES_MISSING, f"missing: {', '.join(each.need for each in missing)}", fix)
    if for_box:
        return warn(f"missing, if the box is still to be made: {', '.join(each.need for each in for_box)}", fix)
    return ok("all programs and headers are there")


# -- Vagrant ---------------------------------------------------------------------------------------------------


def vagrant(case: Case) -> Verdict | None:
    """Ask Vagrant for its version, and look where the libvirt plugin is from."""
    try:
        result = run(["vagrant", "--version"], timeout=ASK_SECONDS, check=False)
    except ToolMissing:
        return judge_vagrant(said=None, provider=case.provider, packaged=False)
    except CommandTimedOut as error:
        return unseen(error.what)
    packaged = provider.packaged_plugin() is not None
    return judge_vagrant(said=result.stdout + result.stderr, provider=case.provider, packaged=packaged)


def judge_vagrant(*, said: str | None, provider: str, packaged: bool) -> Verdict:
    """Judge what ``vagrant --version`` said; ``packaged`` says that the libvirt plugin is the distribution's own."""
    if said is None:
        return fail(errors.HOST_TOOL_MISSING, "vagrant is not installed", f"./inv setup --provider {provider}")
    found = re.search(r"^Vagrant (\d+)\.(\d+)\.(\d+)", said, re.MULTILINE)
    if found is None:
        last = (said.strip().splitlines() or ["nothing"])[-1]
        return fail(errors.HOST_TOOL_MISSING, f"vagrant --version says: {last}", "install Vagrant anew")
    version = tuple(map(int, found.groups()))
    words = f"Vagrant {'.'.join(found.groups())}"
    if provider == "libvirt" and LAST_BEFORE < version < FIRST_AFTER and not packaged:
        seen = f"{words} does not work with vagrant-libvirt (its issue 1749); {KNOWN_GOOD}"
        fix = "install Vagrant 2.4.1 or newer, then: vagrant plugin install vagrant-libvirt"
        return fail(errors.PROVIDER_VERSIONS, seen, fix)
    if not OLDEST_VAGRANT <= version[:2] < NEWEST_VAGRANT:
        return warn(f"{words} was never tried; {KNOWN_GOOD}")
    return ok(words)


def plugin(_case: Case) -> Verdict | None:
    """Look for vagrant-libvirt."""
    return judge_plugin(version=provider.vagrant_libvirt(), apt=shutil.which("apt-get") is not None)


def judge_plugin(*, version: str | None, apt: bool) -> Verdict:
    """Judge the plugin's version."""
    if version is None:
        fix = "./inv setup --provider libvirt" if apt else "vagrant plugin install vagrant-libvirt"
        return fail(errors.PROVIDER_UNSUPPORTED, "Vagrant has no vagrant-libvirt", fix)
    numbers = version_in(version)
    if numbers is None or numbers < (0, 11):
        return warn(f"vagrant-libvirt {version} was never tried; 0.11.2 and 0.12.2 work", "vagrant plugin update")
    return ok(f"vagrant-libvirt {version}")


def box(case: Case) -> Verdict | None:
    """Look whether lab.yaml names a box, which a container cannot be made from."""
    return judge_box(name=None if case.lab.box is None else case.lab.box.name)


def judge_box(*, name: str | None) -> Verdict | None:
    """Judge the box that lab.yaml names."""
    if name is None:
        return None
    seen = f"lab.yaml names the box {name}, and only virtual machines are made from one"
    return fail(errors.PROVIDER_UNSUPPORTED, seen, "leave box: out, or use --provider libvirt")


PACKAGES = Check("tool.packages", needed_packages)
VAGRANT = Check("tool.vagrant", vagrant)
PLUGIN = Check("libvirt.plugin", plugin)
BOX = Check("docker.box", box, again=True)
