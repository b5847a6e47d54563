"""The bundle: every program, image and manifest the lab's machines need, made from the pins before they start."""

from metallab.bundle.build import build, find, require
from metallab.bundle.record import Artifact, Bundle, Versions, rows, to_dict

__all__ = ["Artifact", "Bundle", "Versions", "build", "find", "require", "rows", "to_dict"]
