"""Which files of a repository an import means: by path, by declared name, by directory, as each language has it.

What is not found in the repository is foreign: the standard library, another package, or a path that the build makes.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from posixpath import basename, dirname, join, normpath

Roots = Callable[[str], bool]
Reader = Callable[["Files", int, str, Sequence[str]], Iterator[int | None]]

_PYTHON = (".py", ".pyi", ".pyx", "/__init__.py", "/__init__.pyi")
_SCRIPTS = tuple(
    head + tail
    for head in ("", "/index")
    for tail in (".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".json", ".vue", ".svelte")
)
_CRATES = ("lib.rs", "main.rs")
_MAX_NAMESAKES = 1000
"""Of more files whose paths end alike the first are looked at."""
_MAX_PARTS = 32
"""Of a longer import path no more parts are tried."""
_RUBY_ROOTS = ("lib", "app", "test", "spec", "ext")


class Files:
    """The files of one repository, sorted by path, and groups of them: packages and directories.

    A file's number is its place in `paths`; groups are numbered from there on, as they are asked for.
    """

    def __init__(self, paths: Sequence[str], symbols: Sequence[Sequence[str]]) -> None:
        self.paths = paths
        self.groups: list[list[int]] = []
        self._number = {path: number for number, path in enumerate(paths)}
        self._ends: defaultdict[str, list[int]] = defaultdict(list)
        self._folders: defaultdict[str, list[int]] = defaultdict(list)
        self._symbols: defaultdict[str, list[int]] = defaultdict(list)
        self._packages: defaultdict[str, list[int]] = defaultdict(list)
        self._group_numbers: dict[tuple[str, str], int] = {}
        self._crates: dict[str, str] = {}
        self._found: dict[tuple[str, Roots | None], list[int]] = {}
        self.package = [""] * len(paths)
        for number, path in enumerate(paths):
            self._add_path(number, path)
        for number, names in enumerate(symbols):
            self._add_symbols(number, names)

    def _add_path(self, number: int, path: str) -> None:
        folder, name = dirname(path), basename(path)
        self._folders[folder].append(number)
        self._ends[name].append(number)
        if folder:
            self._ends[join(basename(folder), name)].append(number)
        if name in _CRATES and basename(folder) == "src":
            self._crates.setdefault(basename(dirname(folder)).replace("-", "_"), folder)

    def _add_symbols(self, number: int, names: Sequence[str]) -> None:
        for name in names:
            self._symbols[name].append(number)
            package = name.rpartition(".")[0]
            if package and self._packages[package][-1:] != [number]:
                self._packages[package].append(number)
            self.package[number] = self.package[number] or package

    def at(self, folder: str, path: str, endings: Sequence[str] = ("",)) -> int | None:
        """The file at a path relative to a folder, with the first of these endings that there is."""
        whole = normpath(join(folder, path))
        tries = (whole + end if whole != "." else end.lstrip("/") for end in endings)
        return next((self._number[name] for name in tries if name in self._number), None)

    def ending(self, file: int, path: str, roots: Roots | None = None) -> int | None:
        """The file nearest to `file` whose path ends with this one, below a folder that `roots` accepts."""
        path = path.strip("/")
        if (path, roots) not in self._found:
            candidates = self._ends.get("/".join(path.split("/")[-2:]), [])[:_MAX_NAMESAKES]
            found = [n for n in candidates if self.paths[n] == path or self.paths[n].endswith(f"/{path}")]
            if roots is not None:
                found = [n for n in found if roots(self.paths[n][: -len(path)].rstrip("/"))]
            self._found[path, roots] = found
        return self._nearest(file, self._found[path, roots])

    def symbol(self, file: int, name: str) -> int | None:
        """The file nearest to `file` that declares a name at its top."""
        return self._nearest(file, self._symbols.get(name, ()))

    def group(self, kind: str, name: str) -> int | None:
        """All files of a package, or all Go files of a folder but tests; None if there are none."""
        if (kind, name) not in self._group_numbers:
            found = self._packages.get(name, []) if kind == "package" else self._go_files(name)
            if not found:
                return None
            self._group_numbers[kind, name] = len(self.paths) + len(self.groups)
            self.groups.append(found)
        return self._group_numbers[kind, name]

    def may_hold_packages(self, folder: str) -> bool:
        """Whether Python's search path can name a folder: it is no package itself."""
        return join(folder, "__init__.py") not in self._number

    def crate(self, name: str) -> str | None:
        """The source folder of a Rust crate of the repository."""
        return self._crates.get(name)

    def crate_of(self, file: int) -> str:
        """The source folder of the crate that a file belongs to."""
        folder = dirname(self.paths[file])
        while folder and not any(join(folder, name) in self._number for name in _CRATES):
            folder = dirname(folder)
        return folder

    def _go_files(self, folder: str) -> list[int]:
        return [n for n in self._folders.get(folder, ()) if self.paths[n].endswith(".go")
                and not self.paths[n].endswith("_test.go")]  # fmt: skip

    def _nearest(self, file: int, numbers: Sequence[int]) -> int | None:
        """Of sorted numbers, the one whose path shares most of its beginning with that of `file`.

        Paths are sorted, so a neighbour of `file` does; the one before it, where both share as much.
        """
        place = bisect_left(numbers, file)
        near = [n for n in numbers[max(0, place - 1) : place + 2] if n != file]
        return max(near, key=lambda n: (_shared(self.paths[n], self.paths[file]), -n), default=None)


def _shared(a: str, b: str) -> int:
    """Characters with which both begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def resolve(files: Files, file: int, language: str | None, module: str, names: Sequence[str]) -> list[int]:
    """Numbers of the files and groups that an import of `file` means, sorted, without itself; none for foreign ones."""
    read = _READERS.get(language or "")
    if read is None or not module or "\0" in module:
        return []
    return sorted({n for n in read(files, file, module, names) if n is not None and n != file})


def _python(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """Absolute imports start at a folder that is no package itself; a name may be a module of its own."""
    bare = module.lstrip(".")
    parts = bare.split(".") if bare else []
    folder = dirname(files.paths[file])
    for _ in range(len(module) - len(bare) - 1):
        folder = dirname(folder)

    def find(path: Sequence[str]) -> int | None:
        if bare != module:
            return files.at(folder, "/".join(path), _PYTHON if path else _PYTHON[3:])
        found = (files.ending(file, "/".join(path) + end, files.may_hold_packages) for end in _PYTHON)
        return next((number for number in found if number is not None), None)

    modules = [find([*parts, name]) for name in names if name != "*"]
    yield from modules
    if not modules or None in modules:
        yield find(parts)


def _script(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """Paths, with or without ending; TypeScript writes `.js` for what is `.ts`. `@/` and `~/` are the source folder."""
    path = module.partition("?")[0]
    folders = [dirname(files.paths[file])] if path.startswith(".") else ["", "src"] if "/" in path else []
    path = path[2:] if path.startswith(("@/", "~/")) else path.lstrip("/") if folders[:1] == [""] else path
    bare, dot, ending = path.rpartition(".")
    tries = [(path, ("", *_SCRIPTS))]
    if dot and ending in ("js", "jsx", "mjs", "cjs"):
        tries.append((bare, _SCRIPTS[:5]))
    found = (files.at(folder, name, endings) for folder in folders for name, endings in tries)
    yield next((number for number in found if number is not None), None)


def _jvm(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """Types by the package that their file declares; Scala's imports may start at an enclosing package."""
    own = files.package[file].split(".")[:_MAX_PARTS] if files.paths[file].endswith((".scala", ".sc")) else []
    heads = [".".join([*own[:length], module]) for length in range(len(own), -1, -1)]
    for name in names:
        for head in heads:
            wanted = (files.group("package", head),) if name == "*" else (files.symbol(file, f"{head}.{name}"),)
            found = next((n for n in (*wanted, files.symbol(file, head)) if n is not None), None)
            if found is not None:
                yield found
                break


def _csharp(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """A namespace, or a type that is imported statically or by another name."""
    yield files.group("package", module) if not names else None
    yield files.symbol(file, module)


def _php(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """Classes by namespace, and included files by path."""
    head = module.strip("\\").replace("\\", ".")
    for name in names:
        yield files.symbol(file, f"{head}.{name}".replace("\\", "."))
    if not names:
        yield from _included(files, file, module.lstrip("/"), names)
        yield files.symbol(file, head)


def _included(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """A path relative to the file's folder, or the end of a path."""
    found = files.at(dirname(files.paths[file]), module)
    path = normpath(module)
    while path.startswith("../"):
        path = path[3:]
    yield found if found is not None or path.startswith(".") else files.ending(file, path)


def _go(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """The folder whose path is the longest end of the import path. Of the standard library: none but the whole path."""
    parts = module.strip("/").split("/")[-_MAX_PARTS:]
    for start in range(len(parts) if "." in parts[0] else 1):
        found = files.group("folder", "/".join(parts[start:]))
        if found is not None:
            yield found
            return


def _ruby(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """A path beside the file, or below a folder that Ruby loads from."""
    path = module if module.endswith(".rb") else f"{module}.rb"
    found = files.at(dirname(files.paths[file]), path)
    if found is None and not path.startswith("."):
        found = files.ending(file, path, _is_ruby_root)
    yield found


def _is_ruby_root(folder: str) -> bool:
    return not folder or basename(folder) in _RUBY_ROOTS


def _rust(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """Modules by path from the crate's root, from this module or from one above; the longest path that is a file."""
    head, *rest = module.split("::")
    folder, name = dirname(files.paths[file]), basename(files.paths[file])
    own = folder if name in (*_CRATES, "mod.rs") else join(folder, name.removesuffix(".rs"))
    root: str | None = files.crate_of(file) if head == "crate" else own if head == "self" else files.crate(head)
    if head == "super":
        root = dirname(own)
        while rest[:1] == ["super"]:
            root, rest = dirname(root), rest[1:]
    if root is None:
        return
    for item in names or ("*",):
        parts = [*rest, *(part for part in item.split("::") if part != "*")][:_MAX_PARTS]
        lengths = range(len(parts), 0, -1)
        paths = (files.at(root, "/".join(parts[:length]), (".rs", "/mod.rs")) for length in lengths)
        found = next((number for number in paths if number is not None), None)
        yield found if found is not None else _module_file(files, root)


def _module_file(files: Files, folder: str) -> int | None:
    """The file of the module whose children lie in a folder."""
    inside = (files.at(folder, name) for name in (*_CRATES, "mod.rs"))
    found = next((number for number in inside if number is not None), None)
    return found if found is not None else files.at("", f"{folder}.rs") if folder else None


def _lua(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    path = module.replace(".", "/")
    found = files.ending(file, f"{path}.lua")
    yield found if found is not None else files.ending(file, f"{path}/init.lua")


def _beside(files: Files, file: int, module: str, names: Sequence[str]) -> Iterator[int | None]:
    """A path relative to the file's folder or to the repository."""
    found = files.at(dirname(files.paths[file]), module)
    yield found if found is not None else files.at("", module.lstrip("/"))


_READERS: dict[str, Reader] = {
    "Python": _python,
    "JavaScript": _script,
    "TypeScript": _script,
    "TSX": _script,
    "Java": _jvm,
    "Kotlin": _jvm,
    "Scala": _jvm,
    "C#": _csharp,
    "PHP": _php,
    "C": _included,
    "C++": _included,
    "Go": _go,
    "Ruby": _ruby,
    "Rust": _rust,
    "Lua": _lua,
    "Shell": _beside,
    "CSS": _beside,
}
"""By Linguist name."""
