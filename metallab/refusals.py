"""What the operating system refuses, in the catalogue's words: the last net below every command.

Whoever knows better what a failing file means says so where it fails. What comes as far as here is no mistake of the
lab's: a full disk, a folder of somebody else's, no more memory.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path

from metallab import errors
from metallab.errors import LabError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
EXHAUSTED = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)


def of(error: BaseException) -> LabError | None:
    """Return what the system refused as an error a user can act on; None for anything else, which is our mistake."""
    if isinstance(error, MemoryError):
        return LabError(errors.HOST_EXHAUSTED, "no more memory for this command")
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return LabError(errors.HOST_EXHAUSTED, "no more threads for this command")
    if not isinstance(error, OSError) or error.errno is None:
        return None
    reason = error.strerror or type(error).__name__
    where = "" if error.filename is None else str(error.filename)
    what = f"{reason}: {where}" if where else reason
    if error.errno in FULL:
        return LabError(errors.HOST_DISK_FULL, what, where=where)
    if error.errno in EXHAUSTED:
        return LabError(errors.HOST_EXHAUSTED, what, where=where)
    # Without a name it is no file: a connection, say, whose error should have been understood where it was made.
    return LabError(errors.HOST_FILE, what, where=where) if where else None


def own_text(path: Path) -> str:
    """Return the text of a file the lab has written itself.

    Raises LAB-HOST-016 when it is none any more, and what the system says where it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise damaged(path, error) from error


def damaged(path: object, reason: Exception) -> LabError:
    """Return the error of a file the lab has written itself and cannot read any more."""
    words = f"not JSON ({reason})" if isinstance(reason, json.JSONDecodeError) else str(reason) or type(reason).__name__
    return LabError(errors.HOST_FILE_DAMAGED, words, where=str(path))
