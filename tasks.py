"""The tasks of the lab: a table of contents. Each namespace is a module of ``metallab.tasks``."""

from __future__ import annotations

from invoke.collection import Collection

from metallab.tasks import (
    bench,
    box,
    bundle,
    collect,
    completion,
    config,
    demo,
    doctor,
    drill,
    explain,
    iperf3,
    kubeconfig,
    kubectl,
    lab,
    lesson,
    metallb,
    quality,
    setup,
    snapshot,
    verify,
    workshop,
)

machines = Collection.from_module(lab, name="lab")
machines.add_collection(Collection.from_module(snapshot, name="snapshot"))

ns = Collection(
    # the two commands of the README
    demo.demo,
    quality.test,
    # preparing a host
    doctor.doctor,
    setup.setup,
    Collection.from_module(bundle, name="bundle"),
    Collection.from_module(box, name="box"),
    # the lab
    machines,
    Collection.from_module(metallb, name="metallb"),
    Collection.from_module(iperf3, name="iperf3"),
    verify.verify,
    collect.collect,
    Collection.from_module(drill, name="drill"),
    kubectl.kubectl,
    Collection.from_module(kubeconfig, name="kubeconfig"),
    Collection.from_module(config, name="config"),
    explain.explain,
    # training
    Collection.from_module(lesson, name="lesson"),
    Collection.from_module(workshop, name="workshop"),
    # for the people who work on it
    quality.lint,
    bench.bench,
    completion.completion,
)
