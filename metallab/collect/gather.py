"""Asking all sources side by side, within a time. Nothing that fails or hangs keeps the others from the report."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from metallab.collect.archive import Part, State
from metallab.collect.sources import Incomplete, Source
from metallab.errors import LabError
from metallab.run import cancel

END_SECONDS = 1.0
LATE = "not asked: the time for the whole report was over"
STUCK = "no answer: the time for the whole report was over"


@dataclass(frozen=True)
class Group:
    """Sources that are asked one after the other. ``refusal`` says, if anything, why none of them can be asked."""

    sources: Iterable[Source]
    refusal: Callable[[], str] = lambda: ""


def gather(groups: Sequence[Group], seconds: float, on_part: Callable[[Part], None]) -> list[Part]:
    """Return every part within ``seconds``, in the order of their paths; what was not asked by then is said.

    ``on_part`` is told of each as it comes, from any thread.
    """
    return _Gathering(groups, on_part).run(seconds)


class _Gathering:
    """What was asked of whom, and what came. Once it is closed nothing is added any more."""

    def __init__(self, groups: Sequence[Group], on_part: Callable[[Part], None]) -> None:
        self._groups = [(list(group.sources), group.refusal) for group in groups]
        self._on_part = on_part
        self._lock = threading.Lock()
        self._waiting = {source.path: source for sources, _refusal in self._groups for source in sources}
        self._asked: set[str] = set()
        self._parts: list[Part] = []
        self._closed = False

    def run(self, seconds: float) -> list[Part]:
        deadline = time.monotonic() + seconds
        threads = [threading.Thread(target=self._ask_all, args=group, daemon=True) for group in self._groups]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        finally:
            with self._lock:
                self._closed = True
            # Commands and waits of the threads that are left end now.
            cancel.request()
            for thread in threads:
                thread.join(END_SECONDS)
            cancel.reset()
        late = [
            _part(source, "failed", STUCK) if path in self._asked else _part(source, "left out", LATE)
            for path, source in self._waiting.items()
        ]
        return sorted([*self._parts, *late], key=lambda part: part.path)

    def _ask_all(self, sources: Sequence[Source], refusal: Callable[[], str]) -> None:
        with contextlib.suppress(cancel.Cancelled):
            refused = refusal()
            for source in sources:
                if refused:
                    self._keep(_part(source, "left out", refused))
                else:
                    self._ask(source)

    def _ask(self, source: Source) -> None:
        with self._lock:
            if self._closed:
                return
            self._asked.add(source.path)
        began = time.monotonic()
        further: Sequence[Source] = ()
        try:
            said = source.read()
        except Incomplete as error:
            part = _part(source, "failed", str(error), error.text)
        except LabError as error:
            part = _part(source, "failed", error.what, error.detail)
        except Exception as error:  # noqa: BLE001 - an answer that is not as expected is a line of the report, too
            part = _part(source, "failed", f"{type(error).__name__}: {error}")
        else:
            further = () if isinstance(said, str) else said
            part = _part(source, "collected", text=said if isinstance(said, str) else "")
        with self._lock:
            self._waiting |= {one.path: one for one in further}
        self._keep(replace(part, seconds=round(time.monotonic() - began, 3)))
        for one in further:
            self._ask(one)

    def _keep(self, part: Part) -> None:
        with self._lock:
            if self._closed:
                return
            self._waiting.pop(part.path, None)
            self._parts.append(part)
        self._on_part(part)


def _part(source: Source, state: State, why: str = "", text: str = "") -> Part:
    return Part(source.path, source.where, source.how, state, why, text=text)
