"""What the methods of training are tried on: text of words, code and numbers, and strings put together from pieces."""

from hypothesis import strategies as st

END = "<|endoftext|>"
PROSE = "Most of the time the end of the line is the end of the word.\n\nAt the end of the day it is over.\n"
CODE = "for i in range(10):\n    if i in seen:\n        continue\n    for j in range(i):\n        print(i, j)\n"

_PIECES = [
    "the",
    " ",
    "end",
    " of the",
    "\n",
    "\r\n",
    "12345",
    "1",
    "é",
    "漢字",
    ", ",
    "for i in range(",
    "\t",
    "   ",
    END,
]
TEXT = st.lists(st.sampled_from(_PIECES) | st.characters(codec="utf-8"), max_size=25).map("".join)
