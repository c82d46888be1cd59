"""Texts to token files, once: written by `prepare`, read back by `prepared_tokens`.

A prepared folder holds, under the names of the research code, ``{trn_doc,tst_doc,lbl}_input_ids``
and ``…_attention_mask.npy``, the label matrices, the ids of labels that have training documents,
and ``dataset.json``, which says what they were made from and with which tokenizer.
"""

from dexa.preparation.reading import are_tokens_of, prepared_tokens
from dexa.preparation.writing import prepare

__all__ = ["are_tokens_of", "prepare", "prepared_tokens"]
