"""A lab as a picture: who is on its network, and who announces what. Without a running lab, as it is planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone

from metallab.config import Lab
from metallab.errors import LabError
from metallab.graph.mermaid import mermaid
from metallab.graph.picture import Picture, live, planned
from metallab.graph.svg import svg
from metallab.overview import look
from metallab.site import existing

FORMATS: Mapping[str, Callable[[Picture], str]] = {"mermaid": mermaid, "svg": svg}


def picture(lab: Lab) -> Picture:
    """Return the lab as it is, or, where it cannot be asked, as it is planned, with the reason."""
    try:
        here = existing(lab)
    except LabError as error:
        return planned(lab, error.what)
    return live(here.lab, look(here), datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
