"""The parts a bundle is put together from: compiled Go modules, pause, and the Debian programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from metallab.bundle import cbuild, debian, gobuild, pins, recipe, toolchain
from metallab.bundle.recipe import GoModule
from metallab.bundle.toolchain import Tools
from metallab.bundle.workshop import Workshop
from metallab.events import Step

GO_TOOLS = ("arch", "go")
C_TOOLS = ("binutils", "gcc", *toolchain.C_PACKAGES)


@dataclass(frozen=True)
class Program:
    """A compiled program, on its way into the bundle or into images."""

    name: str
    use: recipe.Use
    path: Path
    version: str
    source: str
    made_with: tuple[str, ...]


@dataclass(frozen=True)
class Compiled:
    """All compiled programs by name, and the plain files that came with their modules, by file name."""

    programs: dict[str, Program]
    files: dict[str, Path]


def go_modules(tools: Tools, shop: Workshop) -> Compiled:
    """Compile every Go module of the recipe."""
    programs: dict[str, Program] = {}
    files: dict[str, Path] = {}
    for module in recipe.GO_MODULES:
        version = pins.version_of(module.name, module.module)
        made_with = (*GO_TOOLS, *C_TOOLS) if module.cgo else GO_TOOLS
        folder = _go_module(module, version, made_with, tools, shop)
        source = f"{module.module}@{version}"
        for program in module.programs:
            path = folder / program.name
            programs[program.name] = Program(program.name, program.use, path, version, source, made_with)
        files |= {name: folder / name for name in (PurePosixPath(file).name for file in module.files)}
    return Compiled(programs, files)


def _go_module(module: GoModule, version: str, made_with: tuple[str, ...], tools: Tools, shop: Workshop) -> Path:
    def make(out: Path, step: Step) -> None:
        gobuild.build(module, tools.go, out, step)

    inputs = [repr(module), pins.module_hash(module.name), pins.code_of("gobuild"), *tools.named(made_with)]
    count = len(module.programs)
    title = f"{module.name} {version} ({count} program{'s' if count > 1 else ''})"
    return shop.part(module.name, title, inputs, make)


def pause(compiled: Compiled, version: str, tools: Tools, shop: Workshop) -> Program:
    """Compile pause under the version kubeadm asks for."""
    made_with = ("arch", *C_TOOLS)
    source = compiled.files[PurePosixPath(recipe.PAUSE_SOURCE).name]

    def make(out: Path, _step: Step) -> None:
        cbuild.build_pause(source, version, out)

    inputs = [version, source.read_text(), pins.code_of("cbuild"), *tools.named(made_with)]
    folder = shop.part("pause", f"pause {version}", inputs, make)
    kubernetes = compiled.programs["kubeadm"].source
    return Program("pause", "image", folder / "pause", version, kubernetes, made_with)


def debian_programs(tools: Tools, shop: Workshop) -> Path:
    """Return the folder with the Debian programs of all images."""
    title = f"{', '.join(recipe.DEBIAN_PACKAGES)} from Debian {recipe.DEBIAN_SUITE}"
    wanted = [recipe.DEBIAN_SUITE, *recipe.DEBIAN_PACKAGES, *(repr(image.debian) for image in recipe.IMAGES)]
    return shop.part("debian", title, [*wanted, pins.code_of("debian", "elf"), *tools.named(("arch",))], debian.fetch)
