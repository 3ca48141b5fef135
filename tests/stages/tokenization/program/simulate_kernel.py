"""`NUMBA_ENABLE_CUDASIM=1 python -m tests.stages.tokenization.program.simulate_kernel`: the merge kernel on a simulated
device against the rounds and tiktoken. A process of its own, because numba decides when it is imported.
"""

import warnings

import numpy as np
import tiktoken
import torch

from stages.tokenization.program.merge_kernel import MAX_PIECE_BYTES
from stages.tokenization.program.program import Program
from stages.tokenization.vocabulary import SPLITS, load_vocabulary
from tests.stages.tokenization.program.kernel_pieces import PIECES, by_rounds, by_threads
from tests.stages.tokenization.program.material import HARD, adversarial, flat


def check_pieces(program, encoding):
    """Pieces of any bytes."""
    wanted = [encoding._encode_single_piece(piece) for piece in PIECES]
    assert by_threads(program, PIECES) == wanted
    assert by_rounds(program, PIECES) == wanted


def check_texts(program, encoding):
    """Whole texts, with pretokens for the kernel and longer ones for the rounds."""
    longest = "q" * MAX_PIECE_BYTES
    texts = [*HARD, *adversarial(300, seed=7), longest, longest + "q", "z" * 2_000, longest]
    starts, ids = program.encode(*flat(texts))
    wanted = [encoding.encode_ordinary(text) for text in texts]
    assert ids.tolist() == [token for row in wanted for token in row]
    assert starts.tolist() == [0, *np.cumsum([len(row) for row in wanted])]


def main():
    """Print that all agree; fail otherwise."""
    warnings.filterwarnings("ignore", "overflow", RuntimeWarning)  # simulated integers wrap, as they must, and say so
    torch.set_num_threads(1)
    vocabulary = load_vocabulary("cl100k_base")
    program = Program(vocabulary, "cpu")
    assert program._thread_bytes == MAX_PIECE_BYTES
    ranks, pattern = vocabulary.ranks(), SPLITS[vocabulary.split]
    encoding = tiktoken.Encoding("twin", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    check_pieces(program, encoding)
    check_texts(program, encoding)
    print("agree")


if __name__ == "__main__":
    main()
