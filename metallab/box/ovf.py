"""The description VirtualBox imports a disk by (OVF 1.0): plain XML, in which only the sizes are set."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from metallab import paths

TEMPLATE = paths.repo_root() / "provision" / "disk" / "vagrant" / "box.ovf"
OVF = "http://schemas.dmtf.org/ovf/envelope/1"
NAMESPACES = {
    "": OVF,
    "ovf": OVF,
    "rasd": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData",
    "vssd": "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData",
    "vbox": "http://www.virtualbox.org/ovf/machine",
}


def describe(disk: Path, capacity: int) -> str:
    """Return the description of a machine with the one ``disk`` (a VMDK file) of ``capacity`` bytes."""
    for prefix, uri in NAMESPACES.items():
        if prefix:
            ET.register_namespace(prefix, uri)
    tree = ET.parse(TEMPLATE)  # noqa: S314 - our own file
    file, section = tree.find("./References/File", NAMESPACES), tree.find("./DiskSection/Disk", NAMESPACES)
    if file is None or section is None:
        raise ValueError(f"{TEMPLATE} lacks its disk")
    file.set(f"{{{OVF}}}href", disk.name)
    file.set(f"{{{OVF}}}size", str(disk.stat().st_size))
    section.set(f"{{{OVF}}}capacity", str(capacity))
    return ET.tostring(tree.getroot(), encoding="unicode", xml_declaration=True) + "\n"
