"""The API server's certificate has expired: nobody who looks at it believes the API server any more.

kubeadm signs it with the cluster's own authority, for a second, so no key leaves the machine. The original stays beside
it under another name, and is only renamed.
"""

from __future__ import annotations

from metallab.cluster import kubeadm_config
from metallab.cluster.api import Cluster
from metallab.drills import claims
from metallab.drills.base import ASK_SECONDS, ECHO, NODE, Claim, Drill, Facts, NotPossible, Stage
from metallab.run.wait import NotYet, until

PKI, WORK, KEPT = "/etc/kubernetes/pki", "/run/metallab/drill-pki", ".metallab-drill"
SETTINGS = ("v1", "ConfigMap", "kubeadm-config", "kube-system")
NEEDED = tuple(f"{PKI}/{name}" for name in ("apiserver.crt", "apiserver.key", "ca.crt", "ca.key"))
MAKE = f"""\
umask 077
mkdir -p {WORK}
cat >{WORK}/kubeadm.yaml
ln -sf {PKI}/ca.crt {PKI}/ca.key {WORK}/
rm -f {WORK}/apiserver.*
kubeadm init phase certs apiserver --config={WORK}/kubeadm.yaml
for file in apiserver.crt apiserver.key; do
    [ -e {PKI}/$file{KEPT} ] || ln {PKI}/$file {PKI}/$file{KEPT}
    cp {WORK}/$file {PKI}/$file.new
done
for file in apiserver.crt apiserver.key; do
    mv -f {PKI}/$file.new {PKI}/$file
done
"""
"""A second name for the original, then another file under the first: at no moment is there none."""
UNDO = f"""\
for file in apiserver.crt apiserver.key; do
    rm -f {PKI}/$file.new
    [ -e {PKI}/$file{KEPT} ] || continue
    # Of two names of one file mv takes none away.
    [ {PKI}/$file{KEPT} -ef {PKI}/$file ] || mv -f {PKI}/$file{KEPT} {PKI}/$file
    rm -f {PKI}/$file{KEPT}
done
rm -rf {WORK}
"""
ANSWER = "kubectl"
SHOWN_SECONDS = 90.0
"""The API server is told of a changed file by the kernel, and looks once a minute in any case."""


def look(stage: Stage) -> Facts:
    """See that certificate and authority are kubeadm's files, with their keys."""
    node = stage.site.lab.control_plane.name
    there = stage.runner(node).run(["ls", "--", *NEEDED], timeout=ASK_SECONDS, check=False).stdout.split()
    lacking = [path for path in NEEDED if path not in there]
    if lacking or stage.site.cluster.get(*SETTINGS) is None:
        raise NotPossible(f"{node} has no {', '.join(lacking) or 'settings of kubeadm'}")
    return {NODE: node, ECHO: stage.announcer}


def make(stage: Stage, facts: Facts) -> Facts:
    """Put the expired one in place, and wait until kubectl, which connects anew each time, is shown it."""
    settings = stage.site.cluster.get(*SETTINGS) or {}
    config = kubeadm_config.short_lived(stage.site.lab, settings["data"]["ClusterConfiguration"], WORK)
    runner = stage.runner(facts[NODE])
    runner.run(["sh", "-eu", "-c", MAKE], timeout=ASK_SECONDS, input=config)

    def refused() -> str:
        asked = runner.run(["kubectl", "get", "--raw", "/readyz"], timeout=ASK_SECONDS, check=False)
        if asked.ok:
            raise NotYet("kubectl still trusts the API server")
        return asked.tail

    return {ANSWER: until(refused, timeout=SHOWN_SECONDS, what="the expired certificate to be shown", every=1.0)}


def undo(stage: Stage, facts: Facts) -> None:
    """Give the original its name back, and wait until a new connection is shown it."""
    stage.runner(facts[NODE]).run(["sh", "-eu", "-c", UNDO], timeout=ASK_SECONDS)

    def trusted() -> None:
        if not Cluster(stage.site.labdir.kubeconfig).healthz():
            raise NotYet("new connections are not trusted")

    until(trusted, timeout=SHOWN_SECONDS, what="the API server to show its own certificate", every=1.0)


DRILL = Drill(
    id="certificate-expired",
    fault="cluster: cert expired",
    words="the API server's certificate has expired",
    shows="kubectl refuses to talk to it; what is connected stays so, and traffic asks no certificate at all",
    look=look,
    make=make,
    undo=undo,
    claims=(
        Claim("refused", "kubectl says x509", claims.noted(ANSWER, "x509: certificate has expired")),
        claims.GOES_ON,
        claims.STAYS,
    ),
    seconds=6.0,
)
