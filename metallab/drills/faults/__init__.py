"""The faults, one file each; none knows another. :mod:`metallab.drills.registry` lists them."""
