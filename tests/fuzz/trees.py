"""Random changes of trees: nested dictionaries and lists with numbers, texts and bytes at their ends."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from random import Random
from typing import Any

__all__ = ["changed_bytes", "changed_tree", "json_bytes", "json_tree", "kinded_bytes", "kinded_tree", "removals"]

NUMBERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 4096, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**53, 2**60, 2**63)
SIZES = (2**64, 10**18, 10**400, -(2**63), -(10**400), 0.5, -0.0, 1e-320, 1e308, float("inf"), float("nan"))
TEXTS = (
    "",
    " ",
    "a",
    "\n",
    "a\nb",
    "\r",
    "\t",
    "\0",
    "..",
    "../x",
    "/",
    "\\",
    "é",
    "\u2028",
    "\ud800",
    "\U0010ffff",
    "%s",
)
DEPTHS = (3, 50, 400, 900, 990)

Path = tuple[Any, ...]


def json_tree(data: bytes) -> Any:
    """The tree of JSON. Raises ValueError or RecursionError if it is none."""
    return json.loads(data)


def json_bytes(tree: Any) -> bytes:
    """JSON of a tree, with NaN and infinity as Python writes them."""
    return json.dumps(tree).encode()


def kinded_tree(data: bytes) -> list[Any]:
    """Kind and tree of a line that says the kind, and JSON."""
    kind, _, content = data.partition(b"\n")
    return [kind.decode("latin-1"), json_tree(content)]


def kinded_bytes(tree: Any) -> bytes:
    """The inverse of :func:`kinded_tree`."""
    return tree[0].encode("latin-1") + b"\n" + json_bytes(tree[1])


def changed_bytes(data: bytes, random: Random) -> bytes:
    """Bytes with a few of them changed, removed, repeated or added."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(found) + 1)
        size = min(random.choice((1, 1, 2, 4, 8, 32)), len(found) - place)
        match random.randrange(6):
            case 0 if size:
                found[place] ^= 1 << random.randrange(8)
            case 1 if size:
                found[place] = random.choice((0, 9, 10, 32, 34, 45, 48, 57, 127, 128, 255))
            case 2:
                del found[place : place + size]
            case 3:
                found[place:place] = found[place : place + size] * random.choice((1, 2, 30))
            case 4:
                found[place:place] = random.randbytes(random.choice((1, 2, 8)))
            case _:
                found = found[: max(1, place)]
    return bytes(found)


def _changed_text(text: str, random: Random) -> str:
    place = random.randrange(len(text) + 1)
    match random.randrange(4):
        case 0:
            return text[:place] + random.choice(TEXTS) + text[place:]
        case 1:
            return text[:place] + text[place + 1 :]
        case 2:
            return text.swapcase()
        case _:
            return text * random.choice((2, 2, 3, 40))


def _deep(random: Random) -> Any:
    tree: Any = random.choice((None, "a", 0))
    for _ in range(random.choice(DEPTHS)):
        tree = [tree]
    return tree


def _value(random: Random, words: Sequence[Any]) -> Any:
    """Any value."""
    match random.randrange(8):
        case 0:
            return random.choice((None, True, False, [], {}, [[]], {"": None}, [0], [None]))
        case 1 | 2:
            return random.choice(NUMBERS)
        case 3:
            return random.choice(SIZES)
        case 4:
            return random.choice(TEXTS)
        case 5 | 6 if words:
            return deepcopy(random.choice(words))
        case _:
            return _deep(random) if random.random() < 0.2 else random.choice(TEXTS)


def _changed_value(value: Any, random: Random, words: Sequence[Any]) -> Any:
    """Another value, often a similar one."""
    if random.random() < 0.3:
        return _value(random, words)
    match value:
        case bool():
            return not value
        case int():
            return random.choice((value + 1, value - 1, -value, value * 2, value // 2, float(value), str(value)))
        case float():
            return random.choice((-value, value * 2, value / 3, value * 1e300))
        case str():
            return _changed_text(value, random)
        case bytes():
            return changed_bytes(value, random)
        case _:
            return _value(random, words)


def _nodes(tree: Any, path: Path = ()) -> Iterator[Path]:
    """Where each part of a tree lies. Not far down: trees may be too deep for recursion."""
    yield path
    if len(path) < 12 and isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _nodes(value, (*path, key))


def _at(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _replaced(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    _at(tree, path[:-1])[path[-1]] = value
    return tree


def _change_members(node: Any, random: Random, words: Sequence[Any], other: Any) -> None:
    """Add, remove, rename, repeat or reorder the members of a dictionary or list.

    Parameters
    ----------
    other : object
        A part of the tree, to be added.
    """
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    action = random.randrange(5)
    if isinstance(node, dict):
        name = random.choice([word for word in words if isinstance(word, str)] or ["a"])
        if action == 0 and keys:
            del node[random.choice(keys)]
        elif action == 1 and keys:
            node[name] = node.pop(random.choice(keys))
        elif action == 2 and keys:
            node[name] = deepcopy(node[random.choice(keys)])
        else:
            node[name] = other if action == 3 else _value(random, words)
    elif action == 0 and keys:
        del node[random.choice(keys)]
    elif action == 1 and keys:
        node.extend(deepcopy(node[random.choice(keys)]) for _ in range(random.choice((1, 2, 20))))
    elif action == 2:
        random.shuffle(node)
    else:
        node.insert(random.randrange(len(node) + 1), other if action == 3 else _value(random, words))


def changed_tree(tree: Any, random: Random, words: Sequence[Any] = ()) -> Any:
    """A tree with a few random changes.

    Parameters
    ----------
    words : sequence
        Keys and values that mean something to the reader.
    """
    tree = deepcopy(tree)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        paths = list(_nodes(tree))
        path = random.choice(paths)
        node = _at(tree, path)
        if isinstance(node, dict | list) and random.random() < 0.5:  # rather an end than what holds it
            path = random.choice(paths)
            node = _at(tree, path)
        if isinstance(node, dict | list) and random.random() < 0.8:
            _change_members(node, random, words, deepcopy(_at(tree, random.choice(paths))))
        elif random.random() < 0.1:
            tree = _replaced(tree, path, deepcopy(_at(tree, random.choice(paths))))
        elif path or random.random() < 0.1:
            tree = _replaced(tree, path, _changed_value(node, random, words))
    return tree


def removals(tree: Any) -> Iterator[Any]:
    """The tree without one of its parts, for each of them."""
    for path in _nodes(tree):
        if path:
            smaller = deepcopy(tree)
            del _at(smaller, path[:-1])[path[-1]]
            yield smaller
