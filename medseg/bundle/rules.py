"""What a value in a bundle's files may be: a test, and the words that say what is allowed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """A test of a value, and what is allowed in words."""

    allows: Callable[[Any], bool]
    words: str


def number(low: float = -math.inf, high: float = math.inf, *, below: float = math.inf) -> Rule:
    """Allow finite numbers from `low` to `high`, and below `below`."""

    def allows(value: Any) -> bool:
        return _is_number(value) and low <= value <= high and value < below

    return Rule(allows, f"a number{_range(low, min(high, below), 'but not ' if below < math.inf else '')}")


def integer(low: float = -math.inf, high: float = math.inf) -> Rule:
    """Allow whole numbers from `low` to `high`."""

    def allows(value: Any) -> bool:
        return _is_number(value) and isinstance(value, Integral) and low <= float(value) <= high

    return Rule(allows, f"a whole number{_range(low, high)}")


def one_of(*choices: Any) -> Rule:
    return Rule(lambda value: value in choices, " or ".join(repr(choice) for choice in choices))


def list_of(each: Rule, *lengths: int) -> Rule:
    """Allow lists of what `each` allows, of one of these lengths if any are given."""

    def allows(value: Any) -> bool:
        good = isinstance(value, (list, tuple)) and all(map(each.allows, value))
        return good and (not lengths or len(value) in lengths)

    several = f"{' or '.join(map(str, lengths))} of " if lengths else ""
    return Rule(allows, f"a list of {several}{each.words.removeprefix('a ')}")


def not_empty(rule: Rule) -> Rule:
    return Rule(lambda value: rule.allows(value) and len(value) > 0, f"{rule.words}, at least one")


def either(*rules: Rule) -> Rule:
    return Rule(
        lambda value: any(rule.allows(value) for rule in rules), ", or ".join(rule.words for rule in rules)
    )


def rising(each: Rule) -> Rule:
    """Allow two values, the lower one first."""
    pair = list_of(each, 2)
    return Rule(
        lambda value: pair.allows(value) and value[0] < value[1], f"[low, high], low below high, {each.words}"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _range(low: float, high: float, before_high: str = "") -> str:
    if low == -math.inf and high == math.inf:
        return ""
    if high == math.inf:
        return f", {low:g} or more"
    return f" from {low:g} to {before_high}{high:g}"


ANYTHING = Rule(lambda _: True, "anything")
BOOLEAN = Rule(lambda value: isinstance(value, bool), "true or false")
PATH = Rule(lambda value: isinstance(value, (str, os.PathLike)), "a path")
TEXT = Rule(lambda value: isinstance(value, str), "text")
NULL = Rule(lambda value: value is None, "null")
OBJECT = Rule(lambda value: isinstance(value, dict), "an object")
FRACTION = number(0, 1)
PLACES: Sequence[int] = (0, 1, 2)
AXES = Rule(
    lambda value: (
        isinstance(value, (list, tuple))
        and len({*map(str, value)}) == len(value)
        and all(a in PLACES for a in value)
    ),
    "a list of axes from 0 to 2, each once",
)
