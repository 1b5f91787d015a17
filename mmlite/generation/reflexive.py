"""Words with which a thought turns on itself, and the tokens that are such a word (NoWait).

Source: arXiv:2506.08343, sec. 3, whose keywords these are. It finds tokens that contain a keyword
and removes by hand those where it means something else (waiter, know). Here a token counts if it
is a keyword and nothing more, which needs no list for each tokenizer.
"""

import re

from transformers import PreTrainedTokenizerBase

REFLEXIVE_WORDS = frozenset(
    (
        *("wait", "alternatively", "hmm", "but", "however", "alternative", "another", "check"),
        *("double-check", "oh", "maybe", "verify", "other", "again", "now", "ah", "anyway"),
        "anyhow",
    )
)
"""The keywords."""

_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


def is_reflexive(text: str) -> bool:
    """Return whether a token's text is a keyword in any case, spaces and marks around it aside.

    >>> [is_reflexive(text) for text in (" Wait", ".but", "waiter", "know", ",")]
    [True, True, False, False, False]
    """
    return _AROUND.sub("", text).lower() in REFLEXIVE_WORDS


def reflexive_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ordinary tokens of a tokenizer that are a keyword and nothing more."""
    special = set(tokenizer.all_special_ids)
    # Spelt with a mark for the space in front, but letters are letters: decoding all takes long.
    near = re.compile("|".join(map(re.escape, sorted(REFLEXIVE_WORDS))), re.IGNORECASE)
    found = [id_ for token, id_ in tokenizer.get_vocab().items() if near.search(token)]
    return sorted(
        id_ for id_ in found if id_ not in special and is_reflexive(str(tokenizer.decode([id_])))
    )
