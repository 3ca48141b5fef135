"""Where pretokens begin, without a regular expression: the splits as array operations over characters.

Each rule is element-wise, or a scan over the few characters that it is about. What runs of whitespace, signs and digits
do is shared by all splits; `cased` has what is left of o200k and tekken.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.tokenization.classes import LETTER, LOWER, MARK, NUMBER, OTHER, SPACE, UPPER
from stages.tokenization.program.characters import NONE, Characters, places, shifted
from stages.tokenization.scanner import Rules
from stages.tokenization.scanner_kernels import WORDS

_APOSTROPHE, _BLANK, _LF, _CR = 0x27, 0x20, 0x0A, 0x0D
LETTERS, NUMBERS, SPACES, SIGNS = LOWER, NUMBER, SPACE, OTHER
"""Classes that letters of any kind, numbers, whitespace and all the rest have where case does not matter."""


def plain_starts(characters: Characters, rules: Rules) -> Tensor:
    """bool per character: a pretoken begins there, by the rules of r50k, cl100k, llama3 or qwen."""
    kind = _plain_kinds(characters.kind)
    before = shifted(kind, characters.first, NONE)
    change = kind != before
    blank_before = shifted(characters.lead == _BLANK, characters.first, False)
    alone = (kind == SIGNS) & change & ~blank_before
    if rules.family == WORDS:
        starts = change & ~blank_before
    else:
        newline_before = shifted(is_newline(characters), characters.first, False)
        prefixed = (before == SPACES) & ~newline_before | shifted(alone, characters.first, False)
        starts = change & ~((kind == LETTERS) & prefixed | (kind == SIGNS) & blank_before)
    quotes = places(alone & (characters.lead == _APOSTROPHE))
    lengths = contractions(characters, quotes, fold=rules.family != WORDS)
    quotes, lengths = quotes[lengths > 0], lengths[lengths > 0]
    starts[quotes + 1] = False
    mark_starts(starts, quotes + 1 + lengths)
    if rules.digits:
        mark_numbers(starts, kind == NUMBERS, change, rules.digits)
    follows_sign = before == SIGNS
    mark_spaces(starts, Spaces.read(characters, kind == SPACES, follows_sign), characters, rules)
    return starts


def _plain_kinds(kind: Tensor) -> Tensor:
    """Letters of all kinds as one, marks as signs."""
    merged = [0] * (NONE + 1)
    merged[LOWER] = merged[UPPER] = merged[LETTER] = LETTERS
    merged[MARK] = merged[OTHER] = SIGNS
    merged[NUMBER], merged[SPACE], merged[NONE] = NUMBERS, SPACES, NONE
    return torch.tensor(merged, dtype=torch.uint8, device=kind.device)[kind.int()]


def is_newline(characters: Characters) -> Tensor:
    """bool: CR or LF."""
    return (characters.lead == _LF) | (characters.lead == _CR)


def mark_starts(starts: Tensor, at: Tensor) -> None:
    """Set these positions; one past the last character is none."""
    starts[at[at < len(starts)]] = True


def contractions(characters: Characters, quotes: Tensor, *, fold: bool) -> Tensor:
    """How many letters of `'s 'd 'm 't 'll 've 're` follow each apostrophe in its text: 0, 1 or 2."""
    one, two = (_letter(characters, quotes, step, fold) for step in (1, 2))
    single = (one == ord("s")) | (one == ord("d")) | (one == ord("m")) | (one == ord("t"))
    second_e = (two == ord("e")) & ((one == ord("v")) | (one == ord("r")))
    double = (one == ord("l")) & (two == ord("l")) | second_e
    return torch.where(single, 1, torch.where(double, 2, 0))


def _letter(characters: Characters, quotes: Tensor, step: int, fold: bool) -> Tensor:
    """The ASCII character so far after each apostrophe, 0 if another or in another text; lower case if folded."""
    at = quotes + step
    inside = at < len(characters)
    at = at.clamp(max=max(len(characters) - 1, 0))
    inside &= ~characters.first[at]
    letter = characters.lead[at]
    if fold:
        letter = torch.where((letter >= ord("A")) & (letter <= ord("Z")), letter | 0x20, letter)
        letter = torch.where(characters.long_s[at], ord("s"), letter)
    return letter * inside


def mark_numbers(starts: Tensor, number: Tensor, change: Tensor, digits: int) -> None:
    """In each run of numbers a pretoken begins every so many characters. `change` is where runs begin."""
    if digits == 1:
        starts |= number
        return
    at = places(number)
    index = torch.arange(len(at), device=at.device)
    begin = torch.where(change[at], index, 0)
    if len(at):
        begin = torch.cummax(begin, 0).values
    starts[at] = (index - begin) % digits == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Spaces:
    """Runs of whitespace; what signs before them swallow is already taken off."""

    begin: Tensor
    """int64: the first character."""
    rest: Tensor
    """int64: the first that no pretoken of signs before has swallowed."""
    end: Tensor
    """int64: the first after the run."""
    newline: Tensor
    """int64: the last CR or LF, -1 if there is none."""

    @staticmethod
    def read(characters: Characters, space: Tensor, follows_sign: Tensor) -> "Spaces":
        """`follows_sign`: where a run begins there, a pretoken of signs ends before it and swallows newlines."""
        begin = places(space & ~shifted(space, characters.first, False))
        bounded = torch.ones_like(space)
        bounded[:-1] = ~space[1:] | characters.first[1:]
        end = places(space & bounded) + 1
        at = places(is_newline(characters))
        run = torch.searchsorted(begin, at, right=True) - 1
        new = torch.ones_like(at, dtype=torch.bool)
        new[1:] = run[1:] != run[:-1]
        index = torch.arange(len(at), device=at.device)
        first = torch.cummax(torch.where(new, index, 0), 0).values if len(at) else index
        swallowed = (at - begin[run] == index - first) & follows_sign[begin[run]]
        rest = begin.index_add(0, run, swallowed.long())
        newline = torch.full_like(begin, -1)
        last = torch.ones_like(new)
        last[:-1] = new[1:]
        newline[run[last]] = at[last]
        return Spaces(begin=begin, rest=rest, end=end, newline=newline)


def mark_spaces(starts: Tensor, spaces: Spaces, characters: Characters, rules: Rules) -> None:
    """The starts inside runs of whitespace: `\\s+$`, `\\s*[\\r\\n]+`, `\\s+(?!\\S)`, `\\s`."""
    ends_text = torch.ones_like(spaces.begin, dtype=torch.bool)
    inner = spaces.end < len(characters)
    ends_text[inner] = characters.first[spaces.end[inner]]
    last = spaces.end - 1
    if rules.family == WORDS:
        starts[last[~ends_text]] = True
        return
    starts[spaces.begin] = False
    starts[spaces.rest[spaces.rest < spaces.end]] = True
    after = spaces.newline + 1
    broken = (spaces.newline >= 0) & (after < spaces.end)
    if rules.tail:
        broken &= ~ends_text
    starts[after[broken]] = True
    starts[last[~ends_text & (spaces.newline != last)]] = True
