"""A learner's own way to the cluster: the lesson's namespace and nothing else, for some hours.

The admin's kubeconfig stays with the trainer. The account may do in its namespace what Kubernetes' own role ``admin``
allows there (lessons/learner.yaml).
"""

from __future__ import annotations

from pathlib import Path

import yaml

from metallab import errors
from metallab.cluster.api import Cluster
from metallab.errors import LabError
from metallab.lessons import progress
from metallab.lessons.format import NAMESPACE
from metallab.machines.labdir import LabDir

ACCOUNT = "learner"
HOURS = 8


def kubeconfig_of(labdir: LabDir) -> Path:
    """Return where the learner's kubeconfig lies."""
    return progress.folder(labdir) / "kubeconfig"


def give(labdir: LabDir, cluster: Cluster) -> Path:
    """Write a kubeconfig with a new token for the learner's account and return where it is."""
    token = cluster.issue_token(NAMESPACE, ACCOUNT, seconds=HOURS * 3600)
    text = kubeconfig(labdir.kubeconfig.read_text(encoding="utf-8"), token)
    labdir.write_secret(kubeconfig_of(labdir), text)
    return kubeconfig_of(labdir)


def kubeconfig(admins: str, token: str) -> str:
    """Return a kubeconfig for the same cluster with a token in place of the admin's certificate and key."""
    server = yaml.safe_load(admins)["clusters"][0]["cluster"]
    known = {"certificate-authority-data": server["certificate-authority-data"], "server": server["server"]}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": known}],
            "users": [{"name": ACCOUNT, "user": {"token": token}}],
            "contexts": [{"name": "lesson", "context": {"cluster": "lab", "user": ACCOUNT, "namespace": NAMESPACE}}],
            "current-context": "lesson",
        },
        sort_keys=False,
    )


def require(labdir: LabDir) -> Path:
    """Return the learner's kubeconfig. Raises LAB-LSN-002 when no lesson has given one."""
    path = kubeconfig_of(labdir)
    if not path.exists():
        raise LabError(errors.LESSON_NONE, "no lesson has given its learner a way to the cluster yet")
    return path
