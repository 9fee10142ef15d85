"""Which expressions of one composite say the same."""

from difflib import SequenceMatcher

from annotation.wording import plain

_SHORTEST = 4  # letters of a word that may have a slip: "red" is no misspelt "bed"
_ALIKE = 0.8  # share of letters that two spellings have in common: more than "shirt" and "skirt" have


def alike(first: str, second: str) -> bool:
    """Whether two expressions differ in nothing but case, articles, punctuation, and slips in the spelling of words.

    The order of words counts: "the dog left of the man" is not "the man left of the dog".
    """
    words = plain(first).split(), plain(second).split()
    return len(words[0]) == len(words[1]) and all(map(_same_word, *words))


def _same_word(first: str, second: str) -> bool:
    if first == second:
        return True
    spelt = first.isalpha() and second.isalpha() and min(len(first), len(second)) >= _SHORTEST
    return spelt and SequenceMatcher(None, first, second, autojunk=False).ratio() > _ALIKE
