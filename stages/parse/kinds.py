"""Numbers of a grammar's kinds and fields by name, from the grammar itself."""

from tree_sitter import Language

from stages.parse.grammar import Grammar


class Kinds:
    """Numbers of a grammar's kinds and fields by name."""

    def __init__(self, grammar: str, language: Language) -> None:
        self._grammar = grammar
        numbers = range(language.node_kind_count)
        self.kinds = (*(language.node_kind_for_id(n) or "" for n in numbers), "ERROR")
        self.is_named = [*(language.node_kind_is_named(n) for n in numbers), True]
        self.is_visible = [*(language.node_kind_is_visible(n) for n in numbers), True]
        self.fields = ("", *(language.field_name_for_id(n) or "" for n in range(1, language.field_count + 1)))
        self._by_name: dict[str, list[int]] = {}
        for number, kind in enumerate(self.kinds):
            self._by_name.setdefault(kind, []).append(number)

    def kinds_of(self, names: str) -> list[int]:
        """Numbers of kinds, whose names are separated by spaces. Raises ValueError for an unknown name."""
        for name in names.split():
            if name not in self._by_name:
                raise ValueError(f"the table of {self._grammar} names a kind {name!r} that the grammar does not have")
        return [number for name in names.split() for number in self._by_name[name]]

    def named_kinds_of(self, names: str) -> list[int]:
        """The named ones among them."""
        return [number for number in self.kinds_of(names) if self.is_named[number]]

    def field(self, name: str) -> int:
        """Number of a field. Raises ValueError for an unknown name."""
        if not name or name not in self.fields:
            raise ValueError(f"the table of {self._grammar} names a field {name!r} that the grammar does not have")
        return self.fields.index(name)

    def unmapped(self, grammar: Grammar) -> tuple[list[str], list[str]]:
        """Named visible kinds that the table misses, and kinds that it has twice."""
        stated = [name for names in grammar.concepts.values() for name in names.split()]
        wanted = {
            kind
            for kind, named, visible in zip(self.kinds[:-1], self.is_named, self.is_visible, strict=False)
            if named and visible
        }
        return sorted(wanted - set(stated)), sorted({name for name in stated if stated.count(name) > 1})
