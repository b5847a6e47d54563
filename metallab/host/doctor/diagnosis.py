"""All that was seen of a host, and what follows: which provider a lab would get, and what the others would need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from metallab import errors
from metallab.config import Lab
from metallab.errors import ExitCode, LabError
from metallab.events import Step, silent
from metallab.host import provider
from metallab.host.doctor.checks import examine_all, refusal
from metallab.host.doctor.records import PROVIDERS, Case, Finding
from metallab.host.provider import Choice, Made
from metallab.workflow import Job, perform


@dataclass(frozen=True)
class Known:
    """What the rooms above know: what the lab was made with, when the bundle was, and which labs have machines."""

    made: Made | None = None
    bundled: datetime | None = None
    labs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Diagnosis:
    """All findings about a lab, the providers that were looked at, and the one it would get (None: none)."""

    lab: Lab
    findings: tuple[Finding, ...]
    asked: tuple[str, ...]
    choice: Choice | None
    reason: str

    def failures(self, name: str) -> tuple[Finding, ...]:
        """Return what keeps a lab from running on one provider."""
        return tuple(one for one in self.findings if name in one.providers and one.state == "fail")

    def error(self) -> LabError | None:
        """Return what ``lab.up`` would end with, None where a lab can run."""
        if self.choice is not None:
            return refusal(self.failures(self.choice.provider), self.lab)
        entries = [one.verdict.entry for name in self.asked for one in self.failures(name)]
        known = [each for each in entries if each is not None and each.exit_code is ExitCode.PROVIDER]
        return LabError(known[0] if len(self.asked) == 1 and known else errors.PROVIDER_NONE, self.reason)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        error = self.error()
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "failures": {name: [one.id for one in self.failures(name)] for name in self.asked},
            "provider": self.choice.provider if self.choice is not None else None,
            "accelerated": self.choice.accelerated if self.choice is not None else None,
            "reason": self.reason,
            "error": error.entry.id if error is not None else None,
        }


def diagnose(lab: Lab, known: Known) -> Diagnosis:
    """Make every check of the lab's provider, of all providers where that is ``auto``, and say which it would get."""
    asked = PROVIDERS if lab.provider == "auto" else (lab.provider,)
    answers: dict[str, Choice | LabError] = {}

    def ask(name: str, choose: Callable[[], Choice]) -> Job:
        def answer(_step: Step) -> None:
            try:
                answers[name] = choose()
            except LabError as error:
                answers[name] = error

        return Job(name, answer)

    jobs = [ask(name, lambda name=name: _on(lab, name, known.made)) for name in asked]  # type: ignore[misc]
    if lab.provider == "auto":
        jobs.append(ask("auto", lambda: provider.choose(lab, known.made)))
    perform(jobs, silent())
    findings = examine_all({name: _case(lab, name, answers[name], known) for name in asked})
    choice = answers[lab.provider]
    if isinstance(choice, LabError):
        return Diagnosis(lab, findings, asked, None, choice.what)
    how = f"{choice.reason}; a default lab takes {provider.LAB_TAKES[choice.accelerated]}"
    return Diagnosis(lab, findings, asked, choice, how)


def _on(lab: Lab, name: str, made: Made | None) -> Choice:
    """Return how a provider would run here: as it does where the lab is on it, else as it would a new lab."""
    wanted = lab.model_copy(update={"provider": name})
    return provider.choose(wanted, made) if made is not None and made.provider == name else provider.fresh(wanted)


def _case(lab: Lab, name: str, answer: Choice | LabError, known: Known) -> Case:
    choice, refusal = (None, answer) if isinstance(answer, LabError) else (answer, None)
    network = lab.network if choice is None or choice.network is None else choice.network
    return Case(
        lab=lab.model_copy(update={"provider": name, "network": network}),
        provider=name,
        choice=choice,
        refusal=refusal,
        exists=known.made is not None and known.made.provider == name,
        bundled=known.bundled,
        known=known.labs,
    )
