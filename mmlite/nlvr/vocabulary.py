"""Words of NLVR: its descriptions, its sentences, and what prompts and answers need."""

from mmlite.nlvr.descriptions import WORDS

SENTENCE_WORDS = """
a above all almost an and any are as at attached base bases below beneath between black block
blocks blue bottom box boxes circle circles closely color colors containing contains corner
different each edge every exactly from grey has have having height in is it item items least less
ll middle more most no none not now number object objects of on only other over people place right
same second set shape shapes side single smaller square squares stacked than that the there third
together top touching tower towers triangle triangles under wall where which with yellow
zero one two three four five six seven eight nine ten 0 1 2 3 4 5 6 7 8 9 10
"""
"""Words of the sentences of the `hidden` split, misspelt ones left out, and numbers up to ten."""

PROMPT_WORDS = ("describe", "look", "think", "answer", "nothing", "yes", "no", "true", "false", "?")

VOCABULARY = tuple(dict.fromkeys((*PROMPT_WORDS, *WORDS, *SENTENCE_WORDS.split())))
"""Every word and mark, each once, in an order that never changes."""
