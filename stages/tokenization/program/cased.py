"""Where pretokens begin in o200k and tekken: words by case, signs that keep marks, `/` and newlines after signs.

Two things depend on all that came before: whether signs swallow the slashes after a newline, and whether `'s` ends the
word before it or begins a new one (`a's's` is `a's`, `'s`). Both are chains of yes and no in which a link is decided
on the spot or is the opposite of the link before, so they are solved by counting from the last one decided.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.tokenization.classes import LETTER, LOWER, MARK, NUMBER, OTHER, SPACE, UPPER
from stages.tokenization.program.boundaries import (
    Spaces,
    contractions,
    is_newline,
    mark_numbers,
    mark_spaces,
    mark_starts,
    plain_starts,
)
from stages.tokenization.program.characters import NONE, Characters, places, shifted
from stages.tokenization.scanner import Rules
from stages.tokenization.scanner_kernels import CASED

_APOSTROPHE, _BLANK, _SLASH = 0x27, 0x20, 0x2F


def alternate(decided: Tensor, value: Tensor) -> Tensor:
    """bool: `value` where decided, else the opposite of the one before. The first must be decided."""
    index = torch.arange(len(value), device=value.device)
    if not len(value):
        return value
    anchor = torch.cummax(torch.where(decided, index, 0), 0).values
    return value[anchor] ^ ((index - anchor) % 2 == 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signs:
    """Runs of signs and marks: ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*`."""

    begin: Tensor
    """int64: the first character."""
    end: Tensor
    """int64: the first after the run."""
    rest: Tensor
    """int64: the first that signs before the newlines before this run have not swallowed."""
    body: Tensor
    """int64: from here to the end of the run all is one pretoken of signs, which begins one before; the end if none.
    Before it signs stand alone, each a pretoken or the prefix of a word."""
    joined: Tensor
    """bool: a blank before begins the pretoken."""


def read_signs(characters: Characters) -> Signs:
    """The runs of signs and marks of all texts."""
    other = characters.kind == OTHER
    sign = other | (characters.kind == MARK)
    begin = places(sign & ~shifted(sign, characters.first, False))
    bounded = torch.ones_like(sign)
    bounded[:-1] = ~sign[1:] | characters.first[1:]
    end = places(sign & bounded) + 1
    joined = shifted(characters.lead == _BLANK, characters.first, False)[begin] & other[begin]
    double = places(other & shifted(other, characters.first, False))
    after_slashes = _skip_slashes(characters, begin)
    body = _first_above(double, begin, end)
    late = _first_above(double, after_slashes, end)
    linked = _follows_newlines_of_signs(characters, begin, end) & (after_slashes > begin)
    ends_in_sign = other[end - 1]
    swallows_anyway, swallows_late = ends_in_sign | (late < end), (body < end) | joined
    decided, value = ~linked, torch.zeros_like(linked)
    decided[1:] |= swallows_anyway[:-1] | ~swallows_late[:-1]
    value[1:] = linked[1:] & swallows_anyway[:-1]
    swallowed = alternate(decided, value)
    rest = torch.where(swallowed, after_slashes, begin)
    body = torch.where(joined, begin, torch.where(swallowed, late, body))
    return Signs(begin=begin, end=end, rest=rest, body=body, joined=joined)


def _first_above(sorted_values: Tensor, at: Tensor, otherwise: Tensor) -> Tensor:
    """The first value that is greater, but at most `otherwise`."""
    padded = torch.cat([sorted_values, sorted_values.new_tensor([torch.iinfo(torch.int64).max])])
    return torch.minimum(padded[torch.searchsorted(sorted_values, at, right=True)], otherwise)


def _skip_slashes(characters: Characters, begin: Tensor) -> Tensor:
    """The first character from each of these on, in its text, that is no slash."""
    slash = characters.lead == _SLASH
    bounded = torch.ones_like(slash)
    bounded[:-1] = ~slash[1:] | characters.first[1:]
    ends = places(slash & bounded) + 1
    ends = torch.cat([ends, ends.new_tensor([len(slash)])])
    return torch.where(slash[begin], ends[torch.searchsorted(ends, begin, right=True)], begin)


def _follows_newlines_of_signs(characters: Characters, begin: Tensor, end: Tensor) -> Tensor:
    """Between each run of signs and the one before there are newlines, at least one, and nothing else."""
    newline = is_newline(characters)
    start = places(newline & ~shifted(newline, characters.first, False))
    run = torch.searchsorted(start, begin, right=True) - 1
    before = newline[(begin - 1).clamp(min=0)] & (begin > 0) & ~characters.first[begin]
    opened = torch.where(before, torch.cat([start, start.new_tensor([-1])])[run], -1)
    linked = torch.zeros_like(before)
    linked[1:] = before[1:] & (opened[1:] == end[:-1])
    at = opened.clamp(min=0)
    return linked & ~characters.first[at] if len(characters) else linked


def pretoken_starts(characters: Characters, rules: Rules) -> Tensor:
    """bool per character: a pretoken begins there, by the rules of any split."""
    return (cased_starts if rules.family == CASED else plain_starts)(characters, rules)


def cased_starts(characters: Characters, rules: Rules) -> Tensor:
    """bool per character: a pretoken begins there, by the rules of o200k or tekken."""
    kind, first = characters.kind, characters.first
    before = shifted(kind, first, NONE)
    signs = read_signs(characters)
    letter = (kind == LOWER) | (kind == UPPER) | (kind == LETTER)
    word, swallowed_marks = _words(characters, signs, letter)
    starts = _sign_starts(characters, signs, before)
    fresh = word & ~shifted(word, first, False)
    newline_before = shifted(is_newline(characters), first, False)
    prefixed = shifted(starts, first, False) & (before == OTHER) | (before == SPACE) & ~newline_before
    starts |= fresh & ~prefixed
    if rules.contractions:
        _mark_contractions(characters, starts, fresh, word, letter)
    _mark_capitals(characters, starts, fresh, word)
    number = kind == NUMBER
    starts |= number & (before != NUMBER)
    mark_numbers(starts, number, number & (before != NUMBER), rules.digits)
    follows_sign = (before == OTHER) | shifted(swallowed_marks, first, False)
    mark_spaces(starts, Spaces.read(characters, kind == SPACE, follows_sign), characters, rules)
    return starts


def _words(characters: Characters, signs: Signs, letter: Tensor) -> tuple[Tensor, Tensor]:
    """bool: characters of words, which are letters and marks; marks that are in a pretoken of signs instead."""
    at = places(characters.kind == MARK)
    word, swallowed = letter.clone(), torch.zeros_like(letter)
    run = torch.searchsorted(signs.begin, at, right=True) - 1
    inside = at >= signs.body[run]
    word[at], swallowed[at] = ~inside, inside
    return word, swallowed


def _sign_starts(characters: Characters, signs: Signs, before: Tensor) -> Tensor:
    """Signs that begin a pretoken: the first of a run, and those after marks of words."""
    other = characters.kind == OTHER
    starts = torch.zeros_like(other)
    at = signs.rest[(signs.rest < signs.end) & ~signs.joined]
    starts[at] = other[at]
    after_mark = places(other & (before == MARK))
    run = torch.searchsorted(signs.begin, after_mark, right=True) - 1
    starts[after_mark] = after_mark < signs.body[run]
    return starts


def _mark_contractions(characters: Characters, starts: Tensor, fresh: Tensor, word: Tensor, letter: Tensor) -> None:
    """`'s` and so on end the word before: no start at the apostrophe, one after the letters. Also sets `fresh`."""
    follows = torch.zeros_like(letter)
    follows[:-1] = letter[1:] & ~characters.first[1:]
    at = places((characters.lead == _APOSTROPHE) & shifted(word, characters.first, False) & follows & ~word)
    lengths = contractions(characters, at, fold=True)
    at, lengths = at[lengths > 0], lengths[lengths > 0]
    after = at + 1 + lengths
    decided = torch.ones_like(at, dtype=torch.bool)
    decided[1:] = at[1:] != after[:-1]
    taken = alternate(decided, torch.ones_like(decided))
    starts[at[taken]] = False
    mark_starts(starts, after[taken])
    mark_starts(fresh, after[taken])


def _mark_capitals(characters: Characters, starts: Tensor, fresh: Tensor, word: Tensor) -> None:
    """Capitals that begin a word inside a run of letters and marks. `fresh`: where words are read anew.

    `[capitals]*[smalls]+` comes first, and letters without case and marks are both. So a capital begins a word if the
    last cased letter before it is small. And where capitals end the run, with no small letter after, they begin a word
    if they follow a letter without case or a mark, to which the match went back.
    """
    kind, first = characters.kind, characters.first
    capital = kind == UPPER
    before = shifted(kind, first, NONE)
    starts |= capital & (before == LOWER)
    at = places(capital & shifted(word, first, False) & ((before == LETTER) | (before == MARK)) & ~fresh)
    cased = places(capital | (kind == LOWER))
    last = cased[(torch.searchsorted(cased, at) - 1).clamp(min=0)] if len(at) else at
    begins = places(fresh)
    begin = begins[torch.searchsorted(begins, at, right=True) - 1] if len(at) else at
    after_small = (last < at) & (last >= begin) & (kind[last] == LOWER)
    bounded = torch.ones_like(capital)
    bounded[:-1] = ~capital[1:] | first[1:]
    ends = places(capital & bounded) + 1
    end = ends[torch.searchsorted(ends, at, right=True)] if len(at) else at
    inner = end < len(kind)
    trailing = torch.ones_like(after_small)
    trailing[inner] = ~word[end[inner]] | first[end[inner]]
    starts[at[after_small | trailing]] = True
