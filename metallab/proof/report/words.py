"""Numbers and text as a reader should see them. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timezone

MINUTE = 60.0
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"} | {0x7F: "\u2421"}
_UNSEEN = re.compile("[\x80-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""C1 controls, what turns the direction of text round, lone surrogates and noncharacters."""


def printable(text: str) -> str:
    """Return the text with every character visible that XML 1.0 forbids or that could hide or turn round others.

    Control characters become their pictures, such as ␛ for Escape; the others are named by their number.
    """
    return _UNSEEN.sub(lambda found: f"\u2039U+{ord(found[0]):04X}\u203a", text.translate(_PICTURES))


def duration(seconds: float) -> str:
    """Return how long something took: ``0.2 s``, ``24.6 s``, ``1 min 58 s``."""
    if seconds < MINUTE - 0.05:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def moment(started: str) -> str:
    """Return a time as people read it, in UTC; one that is not ISO 8601 stays as it is."""
    try:
        when = datetime.fromisoformat(started)
    except ValueError:
        return started
    return f"{when.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC" if when.tzinfo else started


def count(number: int, one: str, many: str = "") -> str:
    """Return how many there are: ``1 check``, ``2 checks``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def slug(text: str) -> str:
    """Return the letters and digits of a text, in small, joined by dashes."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))
