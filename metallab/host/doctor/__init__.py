"""What this host can carry: every check there is, who needs it, and what follows from what was seen.

Nothing is changed. Before a lab is made ``lab.up`` has its provider's checks made and refuses with all of what they
found; ``inv doctor`` has all of them made.
"""

from metallab.host.doctor.checks import examine, refusal
from metallab.host.doctor.diagnosis import Diagnosis, Known, diagnose
from metallab.host.doctor.machine import require_room
from metallab.host.doctor.records import MARKS, PROVIDERS, Case, Finding

__all__ = [
    "MARKS",
    "PROVIDERS",
    "Case",
    "Diagnosis",
    "Finding",
    "Known",
    "diagnose",
    "examine",
    "refusal",
    "require_room",
]
