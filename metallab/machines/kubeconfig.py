"""The lab in the user's own kubeconfig, on request: one cluster, one user and one context, all called ``lab-NAME``.

The user's file is worked on as YAML's own nodes, never as Python values: what is not the lab's keeps its very scalars
(a ``yes``, a date, a number with zeros before it), its order and its anchors; only comments are lost, as with kubectl.
What the lab wrote carries a mark with the lab's folder, so that nothing else is ever replaced or taken out.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from metallab import errors
from metallab.config import Lab
from metallab.errors import LabError
from metallab.events import Events
from metallab.machines.labdir import LabDir
from metallab.run.wait import NotYet, until

EXTENSION = "metallab"
"""Name of the extension (a field of kubeconfigs for other programs) that marks an entry as a lab's."""
LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
"""The lists of a kubeconfig, and what an entry holds besides its name."""
LOCK_SECONDS = 5.0
WIDE = 1_000_000
"""Certificates are long; a line is never folded."""


@dataclass(frozen=True)
class Entry:
    """What the lab's own kubeconfig says, for one name in somebody else's: how to get in, and the mark."""

    name: str
    folder: str
    cluster: yaml.MappingNode
    user: yaml.MappingNode


def entry_name(lab: Lab) -> str:
    """Return the name of the lab's cluster, user and context in a kubeconfig."""
    return f"lab-{lab.name}"


def user_file(kubeconfig: str, home: Path) -> Path:
    """Return the user's kubeconfig: the first file that ``kubeconfig`` (the variable KUBECONFIG) names, else the usual.

    kubectl writes new entries to the same one.
    """
    named = next((part for part in kubeconfig.split(os.pathsep) if part), None)
    return Path(named) if named is not None else home / ".kube" / "config"


def require(lab: Lab, labdir: LabDir) -> Path:
    """Return the lab's own kubeconfig. Raises LAB-CLUS-002 when its cluster was never made."""
    if not labdir.kubeconfig.exists():
        what = f"the lab {lab.name} has no kubeconfig yet"
        raise LabError(errors.CLUSTER_UNREACHABLE, what, where=str(labdir.kubeconfig))
    return labdir.kubeconfig


def merge(lab: Lab, labdir: LabDir, file: Path) -> bool:
    """Have the lab in ``file`` and tell whether that changed it. The file's current context stays what it is.

    Raises LAB-CLUS-010 when the file is no kubeconfig, LAB-CLUS-011 when it is locked, LAB-CLUS-012 when somebody
    else's entry has the lab's name; the file is untouched then.
    """
    entry = _own_entry(lab, labdir)
    # First, so that lab.destroy finds the file also when this is interrupted.
    labdir.write_secret(labdir.merged, json.dumps(sorted({*_merged_into(labdir), str(file.absolute())})) + "\n")
    with _locked(file):
        before = _read(file)
        after = merged(before, entry, where=str(file))
        if after == before:
            return False
        _write(file, after)
    return True


def remove(lab: Lab, labdir: LabDir, file: Path) -> bool:
    """Take the lab out of ``file`` and tell whether it was in it. Raises LAB-CLUS-010 and LAB-CLUS-011."""
    if not file.exists():
        return False
    with _locked(file):
        before = _read(file)
        after = without(before, entry_name(lab), str(labdir.path), where=str(file))
        if after == before:
            return False
        _write(file, after)
    return True


def withdraw(lab: Lab, labdir: LabDir, events: Events) -> None:
    """Take the lab out of every file it was merged into. One that cannot be changed is named, and never an error."""
    for file in map(Path, _merged_into(labdir)):
        try:
            if remove(lab, labdir, file):
                events.note(f"{entry_name(lab)} taken out of {file}")
        except LabError as error:
            events.warn(f"{entry_name(lab)} is left in {file}: {error.what}")


def _merged_into(labdir: LabDir) -> list[str]:
    try:
        return [str(file) for file in json.loads(labdir.merged.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


# -- pure: text in, text out ------------------------------------------------------------------------------------


def merged(text: str, entry: Entry, *, where: str = "") -> str:
    """Return a kubeconfig's text with the lab's entries in it; the very same text when they are. See :func:`merge`."""
    root = _root(text, where)
    changed = False
    if _get(root, "apiVersion") is None:
        root.value += [(_scalar("apiVersion"), _scalar("v1")), (_scalar("kind"), _scalar("Config"))]
    context = _mapping({"cluster": entry.name, "user": entry.name})
    for key, content in (("clusters", entry.cluster), ("users", entry.user), ("contexts", context)):
        made = _mapping({"name": entry.name})
        marked = yaml.MappingNode(content.tag, [*content.value, _mark(entry.folder)])
        made.value.append((_scalar(LISTS[key]), marked))
        listed = _list(root, key)
        at = _index(listed, entry.name)
        if at is None:
            listed.value.append(made)
        elif not _is_ours(listed.value[at], LISTS[key], entry.folder):
            what = f"{key} has a {entry.name} that this lab did not write"
            raise LabError(errors.KUBECONFIG_TAKEN, what, where=where)
        elif key == "contexts" or yaml.serialize(listed.value[at]) == yaml.serialize(made):
            continue  # a context's names never change, and the user may have given it a namespace
        else:
            listed.value[at] = made
        changed = True
    return _text(root) if changed else text


def without(text: str, name: str, folder: str, *, where: str = "") -> str:
    """Return a kubeconfig's text without the lab's entries; the very same text when there are none.

    A current context that is the lab's is emptied: it would name nothing.
    """
    root = _root(text, where)
    changed = False
    for key, inner in LISTS.items():
        listed = _get(root, key)
        if not isinstance(listed, yaml.SequenceNode):
            continue
        kept = [item for item in listed.value if not (_named(item) == name and _is_ours(item, inner, folder))]
        changed = changed or len(kept) < len(listed.value)
        if key == "contexts" and len(kept) < len(listed.value) and _text_of(_get(root, "current-context")) == name:
            _set(root, "current-context", _scalar("", style='"'))
        listed.value = kept
    return _text(root) if changed else text


def _root(text: str, where: str) -> yaml.MappingNode:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LabError(errors.KUBECONFIG_UNREADABLE, f"not YAML: {error}", where=where) from error
    if root is None or _is_null(root):
        return _mapping({})
    if not isinstance(root, yaml.MappingNode):
        raise LabError(errors.KUBECONFIG_UNREADABLE, "it should hold keys and values", where=where)
    kind = _text_of(_get(root, "kind"))
    if kind not in (None, "Config"):
        raise LabError(errors.KUBECONFIG_UNREADABLE, f"it is of kind {kind}, not Config", where=where)
    for key in LISTS:
        listed = _get(root, key)
        if listed is not None and not _is_null(listed) and not isinstance(listed, yaml.SequenceNode):
            raise LabError(errors.KUBECONFIG_UNREADABLE, f"{key} should be a list", where=where)
    return root


def _list(root: yaml.MappingNode, key: str) -> yaml.SequenceNode:
    """Return a list of the file, made where there is none."""
    found = _get(root, key)
    if isinstance(found, yaml.SequenceNode):
        if not found.value:
            found.flow_style = False  # kubectl writes an empty list as []; nobody wants certificates in that style
        return found
    made = yaml.SequenceNode("tag:yaml.org,2002:seq", [], flow_style=root.flow_style)
    _set(root, key, made)
    return made


def _is_ours(item: yaml.Node, inner: str, folder: str) -> bool:
    content = _get(item, inner)
    extensions = _get(content, "extensions") if content is not None else None
    if not isinstance(extensions, yaml.SequenceNode):
        return False
    for extension in extensions.value:
        if _named(extension) == EXTENSION:
            said = _get(extension, "extension")
            return said is not None and _text_of(_get(said, "folder")) == folder
    return False


def _mark(folder: str) -> tuple[yaml.Node, yaml.Node]:
    said = _mapping({"name": EXTENSION})
    said.value.append((_scalar("extension"), _mapping({"folder": folder})))
    return _scalar("extensions"), yaml.SequenceNode("tag:yaml.org,2002:seq", [said], flow_style=False)


def _index(listed: yaml.SequenceNode, name: str) -> int | None:
    return next((number for number, item in enumerate(listed.value) if _named(item) == name), None)


def _named(item: yaml.Node) -> str | None:
    return _text_of(_get(item, "name"))


def _get(node: yaml.Node, key: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    found: yaml.Node | None = next((value for known, value in pairs if known.value == key), None)
    return found


def _set(root: yaml.MappingNode, key: str, value: yaml.Node) -> None:
    for number, (known, _old) in enumerate(root.value):
        if known.value == key:
            root.value[number] = (known, value)
            return
    root.value.append((_scalar(key), value))


def _text_of(node: yaml.Node | None) -> str | None:
    return str(node.value) if isinstance(node, yaml.ScalarNode) and not _is_null(node) else None


def _is_null(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"


def _scalar(text: str, style: str | None = None) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


def _mapping(values: dict[str, str]) -> yaml.MappingNode:
    pairs = [(_scalar(key), _scalar(value)) for key, value in values.items()]
    return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=False)


def _text(root: yaml.Node) -> str:
    return str(yaml.serialize(root, Dumper=yaml.SafeDumper, width=WIDE, allow_unicode=True))


# -- files ------------------------------------------------------------------------------------------------------


def _own_entry(lab: Lab, labdir: LabDir) -> Entry:
    """Read the lab's own kubeconfig. Raises LAB-CLUS-002 when the cluster was never made."""
    own = require(lab, labdir)
    root, found = _root(_read(own), str(own)), {}
    for key in ("clusters", "users"):
        listed = _get(root, key)
        inner = _get(listed.value[0], LISTS[key]) if isinstance(listed, yaml.SequenceNode) and listed.value else None
        if not isinstance(inner, yaml.MappingNode):
            raise LabError(errors.KUBECONFIG_UNREADABLE, f"it has no {key}", where=str(own))
        found[key] = inner
    return Entry(entry_name(lab), str(labdir.path), found["clusters"], found["users"])


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(errors.KUBECONFIG_UNREADABLE, f"cannot read it: {error}", where=str(file)) from error


def _write(file: Path, text: str) -> None:
    """Write the file whole or not at all, readable by its owner only; a link stays a link."""
    target = file.resolve()
    draft = target.with_name(f".{target.name}.metallab-{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LabError(errors.KUBECONFIG_UNREADABLE, f"cannot write it: {error}", where=str(file)) from error


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold the lock kubectl itself takes: FILE.lock, which only one can make (client-go, clientcmd's lockFile)."""
    lock = file.with_name(f"{file.name}.lock")

    def make() -> None:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError as error:
            raise NotYet(f"{lock} is there") from error

    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        until(make, timeout=LOCK_SECONDS, what=f"the lock of {file}", entry=errors.KUBECONFIG_LOCKED)
    except OSError as error:
        raise LabError(errors.KUBECONFIG_UNREADABLE, f"cannot lock it: {error}", where=str(file)) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
