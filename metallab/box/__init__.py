"""The box: one Debian root with everything baked in, and the images its machines start with."""

from metallab.box.build import build, find, require
from metallab.box.record import Box

__all__ = ["Box", "build", "find", "require"]
