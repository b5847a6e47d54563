"""Rates and lists as people say them, and the length of a run. Pure, and quick to import."""

from __future__ import annotations

from collections.abc import Sequence

SECONDS = 3
"""How long an iperf3 run of the proof is, unless somebody says otherwise."""


def rate(bits_per_second: float) -> str:
    """Return a rate as people say it: ``9.84 Gbit/s``."""
    scale, unit = rate_unit(bits_per_second)
    return f"{significant(bits_per_second / scale)} {unit}" if bits_per_second else "0 bit/s"


def rate_unit(bits_per_second: float) -> tuple[float, str]:
    """Return the unit that suits a rate, and how many bits a second it stands for."""
    for scale, unit in ((1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s")):
        # 999.6 of a unit would be written as 1000.
        if bits_per_second >= 0.9995 * scale:
            return scale, unit
    return 1.0, "bit/s"


def significant(value: float) -> str:
    """Return a number with three digits that count, and never as a power of ten."""
    size = abs(value)
    return f"{value:.0f}" if size >= 99.95 else f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"  # noqa: PLR2004


def listed(items: Sequence[str]) -> str:
    """Return words as a sentence names them: a, b and c."""
    *first, last = items
    return f"{', '.join(first)} and {last}" if first else last
