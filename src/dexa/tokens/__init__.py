"""Texts as token ids: ragged arrays, the batches taken from them, and groups of whole texts.

A text is never padded to the longest: ids of all texts lie end to end (`TokenArray`), a batch is
gathered by indexing, and a transformer sees several whole short texts in each group (`grouped`).
"""

from dexa.tokens.arrays import TokenArray, joined, no_tokens, offsets_of
from dexa.tokens.groups import TokenGroups, group_width, grouped, round_number
from dexa.tokens.tokenizer import TextTokenizer, Tokenizer

__all__ = [
    "TextTokenizer",
    "TokenArray",
    "TokenGroups",
    "Tokenizer",
    "group_width",
    "grouped",
    "joined",
    "no_tokens",
    "offsets_of",
    "round_number",
]
