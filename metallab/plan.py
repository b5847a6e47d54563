"""``lab.up --plan``: what a bring-up would do, in its own order, and nothing is touched.

From the first machine on it is read off the very jobs that ``lab.up`` performs (:func:`metallab.steps.jobs`), and what
is refused before that is refused by the same functions, so that plan and story say the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from metallab import box as boxes
from metallab import bundle as bundles
from metallab import providers, steps, workflow
from metallab.box import Box, disk
from metallab.bundle import Bundle
from metallab.config import Lab
from metallab.errors import LabError
from metallab.host import packages
from metallab.host.packages import Purpose
from metallab.site import Site, likely_provider, site
from metallab.workflow import Act, Outlook

COLUMNS = ("step", "lab.up would", "because")


def draw(lab: Lab) -> list[Outlook]:
    """Return what ``lab.up`` would do of each step. Makes no file, namespace, daemon or machine; raises nothing."""
    seen: list[Outlook] = []
    bundle = _bundle(seen)
    box = _box(seen, bundle, likely_provider(lab))
    _packages(seen, lab, bundle, box)
    _ask(seen, "lab.yaml", lambda: _agrees(lab, bundle))
    try:
        here = site(lab)
    except LabError as error:
        return [*seen, Outlook("provider", Act.BLOCKED, f"{error.what}: {error.fix}")]
    seen.append(Outlook("provider", Act.SKIP, f"{here.choice.provider}: {here.choice.reason}"))
    _ask(seen, "network", lambda: _is_free(here, lab, bundle))
    seen += _sandbox(here)
    seen += workflow.foresee(steps.jobs(here, bundles.require))
    return seen


def rows(plan: Sequence[Outlook]) -> list[tuple[str, str, str]]:
    """Return a plan as rows of a table."""
    return [(outlook.step, outlook.act.value, outlook.words) for outlook in plan]


def summary(plan: Sequence[Outlook]) -> str:
    """Return a plan in a sentence."""
    blocked = [outlook.step for outlook in plan if outlook.act is Act.BLOCKED]
    if blocked:
        return f"lab.up would end with an error at: {', '.join(blocked)}"
    to_do = sum(outlook.act in (Act.MAKE, Act.GO_ON) for outlook in plan)
    return f"{to_do} of {len(plan)} steps to do" if to_do else "nothing to do but to look whether all is well"


def _ask(seen: list[Outlook], step: str, ask: Callable[[], tuple[Act, str]]) -> None:
    try:
        seen.append(Outlook(step, *ask()))
    except LabError as error:
        seen.append(Outlook(step, Act.BLOCKED, f"{error.what}: {error.fix}"))


def _bundle(seen: list[Outlook]) -> Bundle | None:
    try:
        bundle = bundles.find()
    except LabError as error:
        seen.append(Outlook("bundle", Act.BLOCKED, f"{error.what}: {error.fix}"))
        return None
    words = f"Kubernetes {bundle.versions.kubernetes}, built" if bundle else "not built yet: ./inv bundle.build"
    seen.append(Outlook("bundle", Act.SKIP if bundle else Act.BLOCKED, words))
    return bundle


def _box(seen: list[Outlook], bundle: Bundle | None, provider: str) -> Box | None:
    box = boxes.find(bundle) if bundle is not None else None
    whole = box is not None and ("disk" not in providers.of(provider).purposes or disk.find(box, provider) is not None)
    words = "built" if whole else f"not built yet: ./inv box.build --format {provider}"
    seen.append(Outlook("box", Act.SKIP if whole else Act.BLOCKED, words))
    return box if whole else None


def _packages(seen: list[Outlook], lab: Lab, bundle: Bundle | None, box: Box | None) -> None:
    """Look for the host packages that are still needed: what is built needs no compiler."""
    wanted: list[Purpose] = ["lab"]
    wanted += ["bundle"] if bundle is None else []
    wanted += ["box"] if box is None else []
    of_provider = providers.of(likely_provider(lab)).purposes
    lacking = packages.missing(*wanted, *(purpose for purpose in of_provider if box is None or purpose != "disk"))
    names = ", ".join(package.need for package in lacking)
    words = f"missing: {names}: ./inv setup" if lacking else "all there"
    seen.append(Outlook("host packages", Act.BLOCKED if lacking else Act.SKIP, words))


def _agrees(lab: Lab, bundle: Bundle | None) -> tuple[Act, str]:
    if bundle is not None:
        steps.check_versions(lab, bundle)
    steps.refuse_half_restored(lab)
    return Act.SKIP, f"lab {lab.name}, {len(lab.machines)} machines"


def _is_free(here: Site, lab: Lab, bundle: Bundle | None) -> tuple[Act, str]:
    steps.refuse_other_provider(lab, here.choice.provider)
    is_new = not here.labdir.inventory.exists()
    findings = steps.examine(here, bundle, is_new=is_new)
    warnings = [f"{finding.id}: {finding.verdict.seen}" for finding in findings if finding.state == "warn"]
    said = "; ".join(word for word in (here.choice.warning, *warnings) if word)
    words = f"{here.lab.network} {'is free' if is_new else 'is there'}" + (f" ({said})" if said else "")
    return (Act.MAKE if is_new else Act.SKIP), words


def _sandbox(here: Site) -> Iterator[Outlook]:
    sandbox = here.choice.sandbox
    if sandbox is None:
        return
    name = sandbox.daemon.program
    if sandbox.exists() and sandbox.answers():
        yield Outlook("sandbox", Act.SKIP, f"the lab's own {name} runs")
    else:
        act = Act.GO_ON if here.labdir.inventory.exists() else Act.MAKE
        yield Outlook("sandbox", act, f"the lab's own {name} in the network namespace {sandbox.namespace}")
