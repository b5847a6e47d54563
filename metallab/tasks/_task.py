"""What every task shares: the lab it is about, its progress on the screen, and errors turned into words and exit codes.

A task body is written ``def up(session: Session, flag: bool = False)``; :func:`task` makes an Invoke task of it.
"""

from __future__ import annotations

import functools
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, overload

from invoke.context import Context
from invoke.exceptions import Exit, UnexpectedExit
from invoke.tasks import task as invoke_task

from metallab import config, console, errors, paths
from metallab.config import Lab
from metallab.errors import ExitCode, LabError
from metallab.events import Events

PROVIDER_HELP = "docker, libvirt or virtualbox instead of what lab.yaml says"
Body = TypeVar("Body", bound=Callable[..., Any])


@dataclass(frozen=True)
class Session:
    """One command of a user: where progress goes, and the words after ``--``."""

    events: Events
    remainder: tuple[str, ...] = ()

    @functools.cached_property
    def lab(self) -> Lab:
        """Return the lab of this command, read and checked when first asked for."""
        file = paths.lab_file()
        if not paths.is_own_lab() and not file.is_file():
            raise LabError(errors.CONFIG_UNREADABLE, "LAB_FILE names a file that is not there", where=str(file))
        return config.load(file)

    def lab_on(self, provider: str) -> Lab:
        """Return the lab of this command, on the provider named on the command line if one is.

        Raises LAB-HOST-010 for a name that is none.
        """
        known = get_args(config.Provider)
        if provider and provider not in known:
            what = f"no provider is called {provider!r}; there is: {', '.join(known)}"
            raise LabError(errors.HOST_CHOICE_UNKNOWN, what)
        return self.lab.model_copy(update={"provider": provider}) if provider else self.lab


@overload
def task(body: Body) -> Body: ...
@overload
def task(*, positional: Sequence[str] = (), help: Mapping[str, str] | None = None) -> Callable[[Body], Body]: ...
def task(
    body: Body | None = None,
    *,
    positional: Sequence[str] = (),
    help: Mapping[str, str] | None = None,  # noqa: A002 - Invoke's own word
) -> Body | Callable[[Body], Body]:
    """Make an Invoke task of ``body``: it gets a :class:`Session`, and its errors end as one message and one code."""
    if body is None:
        return lambda decorated: _make(decorated, positional, help or {})
    return _make(body, positional, help or {})


def _make(body: Body, positional: Sequence[str], flags_help: Mapping[str, str]) -> Body:
    @functools.wraps(body)
    def shell(_context: Context, *args: object, **flags: object) -> None:
        # Being told to end (a closed terminal, a CI that runs out of time) is like Ctrl-C: what was begun is put back.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
        try:
            with console.open_sink() as sink:
                body(Session(Events(sink), tuple(words)), *args, **flags)
        except LabError as error:
            console.show_error(error)
            if debugging():
                traceback.print_exc()
            raise Exit(code=int(error.entry.exit_code)) from error
        except KeyboardInterrupt:
            console.show_interrupted()
            raise Exit(code=int(ExitCode.INTERRUPTED)) from None
        except (Exit, UnexpectedExit):
            raise
        except BrokenPipeError:
            raise Exit(code=int(ExitCode.OK)) from None
        except Exception as error:
            console.show_bug(error, traceback.format_exc())
            raise Exit(code=int(ExitCode.BUG)) from error

    made: Body = invoke_task(positional=list(positional), help=dict(flags_help))(shell)
    return made


def finish(code: int) -> None:
    """End the command with this exit code, having said everything already."""
    if code:
        raise Exit(code=code)


def debugging() -> bool:
    """Tell whether the user asked for the whole story (``inv --debug …``)."""
    return logging.getLogger("invoke").isEnabledFor(logging.DEBUG)
