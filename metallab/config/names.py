"""What can be a name: a lab's and a machine's become host names, and stand in YAML that other programs read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from metallab import errors
from metallab.config.problems import Finding, Path, shown
from metallab.config.records import NAME_LENGTH

YAML_WORDS = ("yes", "no", "on", "off", "true", "false", "null")
"""Words that YAML, in one version or another, does not read as text."""
TAKEN = ("localhost", "ip6-localhost", "ip6-loopback", "ip6-allnodes", "ip6-allrouters")
"""Names that mean something else on every machine."""
RULE = "a name has only a-z, 0-9 and single dashes inside, and begins with a letter"


def unfit(named: Iterable[tuple[Path, str]]) -> Iterator[Finding]:
    """Yield the names whose form is right and which still cannot be a host name, in quotes or not."""
    for path, name in named:
        if name in YAML_WORDS:
            what = "nothing" if name == "null" else "a truth value"
            words = f"{name} is {what} to every program that reads it from YAML without quotes"
        elif name in TAKEN and path != ("name",):
            words = f"{name} means something else on every machine"
        else:
            continue
        yield Finding(errors.CONFIG_NAME, path, f"{words}; write for example {proposed(name, path)}")


def wrong(text: str, path: Path) -> str:
    """Return why a text cannot be the name at ``path``, and one that can."""
    hint = f"; write for example {proposed(text, path)}"
    if len(text) > NAME_LENGTH:
        return f"is {len(text)} characters long, a name has at most {NAME_LENGTH}{hint}"
    return f"{shown(text)} could not be a host name: {RULE}{hint}"


def proposed(text: str, path: Path) -> str:
    """Return a name close to ``text`` that a lab or a machine can have."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not name or not name[0].isalpha() or name in (*YAML_WORDS, *TAKEN):
        name = f"{'lab' if path == ('name',) else 'machine'}-{name or 1}"
    return name[:NAME_LENGTH].rstrip("-")
