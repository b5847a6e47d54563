"""``lab.yaml``: what the lab is. Typed, strict, every value with a default, every problem at once and with its place.

The other rooms are given a :class:`Lab` and never read the file.
"""

from metallab.config.checks import warnings
from metallab.config.loading import Origin, load, origins, parse
from metallab.config.records import (
    LEAST_MIB,
    NAME_LENGTH,
    HostRange,
    Lab,
    Machine,
    OtherBox,
    Provider,
    Role,
    Suite,
    Versions,
    is_name,
    json_schema,
)
from metallab.config.source import VARIABLES, slips
from metallab.config.template import template

__all__ = [
    "LEAST_MIB",
    "NAME_LENGTH",
    "VARIABLES",
    "HostRange",
    "Lab",
    "Machine",
    "Origin",
    "OtherBox",
    "Provider",
    "Role",
    "Suite",
    "Versions",
    "is_name",
    "json_schema",
    "load",
    "origins",
    "parse",
    "slips",
    "template",
    "warnings",
]
