"""Wrong and incomplete descriptions, so that reasoning over them is learnt too."""

import random

from mmlite.microworld.descriptions import ATTRIBUTES

_WORDS = {attribute: tuple(sorted(words)) for attribute, words in ATTRIBUTES.items()}
_ATTRIBUTE_OF = {word: name for name, words in ATTRIBUTES.items() for word in words}


def corrupt(text: str, rng: random.Random) -> str:
    """Return a description with one mistake: a wrong value, a missing or an invented clause."""
    clauses = [clause.strip() for clause in text.split(".") if clause.strip()]
    how = rng.choice(("value", "drop", "invent"))
    if how == "drop" and len(clauses) > 1:
        del clauses[rng.randrange(len(clauses))]
    elif how == "invent" and clauses:
        invented = _changed(rng.choice(clauses), rng, every=True)
        clauses.insert(rng.randrange(len(clauses) + 1), invented)
    elif clauses:
        place = rng.randrange(len(clauses))
        clauses[place] = _changed(clauses[place], rng, every=False)
    return " ".join(f"{clause}." for clause in clauses)


def _changed(clause: str, rng: random.Random, *, every: bool) -> str:
    words = clause.split()
    known = [i for i, word in enumerate(words) if word in _ATTRIBUTE_OF]
    if not known:
        return clause
    for index in known if every else [rng.choice(known)]:
        options = [w for w in _WORDS[_ATTRIBUTE_OF[words[index]]] if w != words[index]]
        words[index] = rng.choice(options)
    return " ".join(words)
