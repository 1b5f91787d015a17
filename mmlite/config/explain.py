"""What jsonargparse says about a wrong configuration, in one sentence a user can act on.

Its messages nest: key, then every type that did not fit, then the class, then the key inside it.
Here the way down to the one thing that is wrong is followed, and the nearest right name is looked
up in the signature of the class in question.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mmlite.config.near import (
    class_hint,
    did_you_mean,
    first_broken_yaml,
    module_hint,
    naming_file,
    near_file,
)
from mmlite.config.signatures import argument_names, is_plain_record, kind_of, kinds_in

PARSER_KEY = re.compile(r'Parser key "([^"]+)":?\s*(.*)')
CLASS_PATH = re.compile(r"Problem with given class_path '([^']+)'")
CALLABLE = re.compile(
    r"Type [\w.]*Callable\[\[(?P<given>[^\]]*)\].*expects a function or a callable class: "
    r"(?P<reason>.*)\. Got value: (?P<value>.*)"
)
CALLABLE_KEY = re.compile(
    r"Type [\w.]*Callable\[\[(?P<given>[^\]]*)\].*expects a function or a callable class: "
    r'Parser key "(?P<key>[^"]+)":$'
)
MADE_BY = re.compile(r"Got value: Namespace\(class_path='([^']+)'")
UNKNOWN = (
    re.compile(r"Option '(?P<key>[^']+)' is not accepted"),
    re.compile(r"Group '(?P<group>[^']+)' does not accept option '(?P<key>[^']+)'"),
    re.compile(r"Subcommand '\w+' does not accept option '(?P<key>[^']+)'"),
    re.compile(r"unrecognized arguments: --(?P<key>[][\w.+-]+)"),
)
NO_CLASS = re.compile(r"module '(?P<module>[^']+)' has no attribute '(?P<name>[^']+)'")
NO_MODULE = re.compile(r"No module named '(?P<name>[^']+)'")
WRONG_KIND = re.compile(r"Import path (\S+) does not correspond to a subclass of (\w+)")
NO_SUBCLASS = re.compile(r"Expected '([^']+)' to be a subclass of <class '(?:[\w.]+\.)?(\w+)'>")
NO_CLASS_PATH = re.compile(r"Subclasses are disabled for (\w+), thus '([^']+)' is not accepted")
NO_PATH_FORMAT = re.compile(r"Unexpected import path format: (.*)")
NO_MAPPING = re.compile(r"Unable to load config (['\"])(.*)\1$")
NO_PATH = re.compile(r"Expected a path but (.*) either not accessible or invalid")
NO_FILE = re.compile(r"File does not exist: '([^']+)'")
FOLDER = re.compile(r"Path is not a file: '([^']+)'")
REQUIRED = re.compile(r"the following arguments are required: (.*)")
MISSING_KEY = re.compile(r'Key "([^"]+)" is required')
NO_VALUE = re.compile(r"argument (--[\w.]+).*: expected one argument")
EXPECTED = re.compile(r"Expected an? (.+?)(?:\. Got value: (.*))?$", re.MULTILINE)
EXTRA = re.compile(r"unrecognized arguments: (?!--)(.*)")
SUBTYPES = re.compile(r"Subtypes: \[(.*)\]$")
GIVEN = re.compile(r"Given value: (.*)")

NUMBERS = re.compile(r"<class '(?:int|float|bool)'>")

MAX_LISTED = 16
"""Most names that are listed; of more, only the nearest are named."""


@dataclass(frozen=True)
class Place:
    """Where in the configuration a line of a message speaks of.

    Attributes:
        path: Keys as typed in YAML.
        owner: Class path of what the next key is an argument of.
        filled: How many first arguments of `owner` the program fills in itself.
        subtypes: What the innermost list of alternatives allows.
        parent: Class path of what the last key is an argument of.
    """

    path: str = ""
    owner: str = ""
    filled: int = 0
    subtypes: str = ""
    parent: str = ""

    def key(self, name: str) -> str:
        """Return the path of a key below this place."""
        inner = "" if not self.owner or is_plain_record(self.owner) else ".init_args"
        return f"{self.path}{inner}.{name}" if self.path else name


@dataclass(frozen=True)
class Known:
    """What is known beside a message.

    Attributes:
        keys: Every key of the command, nested ones with dots.
        files: Files given with `-c`.
        arguments: The command line.
    """

    keys: Sequence[str] = ()
    files: Sequence[Path] = ()
    arguments: Sequence[str] = field(default_factory=list)


def explain(text: str, known: Known) -> str:
    """Turn a parser's message into one sentence.

    Args:
        text: The message.
        known: What may be suggested.
    """
    if whole := _whole_message(text, known):
        return whole
    found: list[tuple[int, str]] = []
    for place, line in _walk(text):
        found += [(score, told) for score, told in [_reason(line, place, text, known)] if told]
    if not found:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " ".join(lines)[:400] + "; see `mmlite COMMAND --help`"
    # The first of the best: later alternatives of a type are worse guesses at what was meant.
    return max(found, key=lambda pair: pair[0])[1]


def _whole_message(text: str, known: Known) -> str | None:
    if match := NO_FILE.search(text):
        return f"-c: got {near_file(match[1])}"
    if match := FOLDER.search(text):
        return f"-c: got {match[1]}, a folder, allowed: a YAML file; name a file in it"
    if match := NO_PATH.search(text):
        place = next(place for place, line in _walk(text) if NO_PATH.search(line))
        key, after = place.path, text[match.end() :]
        if (types := re.search(r"Subtypes: \[(.*)\]", after)) and NUMBERS.search(types[1]):
            where = _where(known, match[1])
            allowed = _plain_types(types[1])
            return f"{key}: got {match[1]}{where}, allowed: {allowed}; correct it"
        if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(?<!\.yaml)(?<!\.yml)", match[1]):
            where = _where(known, match[1])
            return f"{key}: {class_hint(match[1], _kinds(place, text), where=where)}"
        name = f"{key}: " if key else ""
        where = naming_file(known.files, match[1])
        told = "a path in a file is relative to that file"
        return f"{name}got {match[1]!r}{where}, but there is no such file; {told}"
    if "parsing config" in text or "Unexpected config" in text:
        return first_broken_yaml(known.files) or text
    if match := REQUIRED.search(text):
        return _required(match[1], text)
    if match := NO_VALUE.search(text):
        return f"{match[1]}: got no value, allowed: one value; write {match[1]} VALUE"
    if match := EXTRA.search(text):
        return f"got {match[1]!r}, allowed: options that begin with -- and their values; remove it"
    return None


def _required(names: str, text: str) -> str:
    owner = next((place for place, line in _walk(text) if REQUIRED.search(line)), Place())
    if owner.owner:
        return (
            f"{owner.path}.init_args: got no {names}, which {owner.owner} needs; write it there, "
            "KEY: VALUE"
        )
    plain = re.sub(r"\b\w+\.(?=\w)", "", names)
    if not {"data", "model", "processor"} & set(plain.split(", ")):
        return f"got no {plain}; give it, as `mmlite COMMAND --help` shows"
    return (
        f"got no {plain}; a run's file gives them: -c experiments/base.yaml -c "
        "experiments/micro/extraction.yaml -c experiments/micro/sizes/d.yaml"
    )


def _walk(text: str) -> Iterator[tuple[Place, str]]:
    """Yield every line of a message with the place it speaks of."""
    stack: list[tuple[int, Place]] = [(-1, Place())]
    for raw in filter(str.strip, text.splitlines()):
        line = raw.lstrip(" -")
        indent = len(raw) - len(line)
        while len(stack) > 1 and stack[-1][0] >= indent:
            stack.pop()
        place = stack[-1][1]
        if match := PARSER_KEY.match(line):
            below = Place(place.key(match[1]), parent=place.owner)
            stack.append((indent, below))
            if match[2]:
                yield below, match[2]
        elif match := CLASS_PATH.match(line):
            stack.append((indent, replace(_indexed(place, match[1], text), owner=match[1])))
        elif match := SUBTYPES.match(line):
            stack[-1] = (stack[-1][0], replace(place, subtypes=match[1]))
        elif match := CALLABLE_KEY.match(line):
            owner = MADE_BY.search(text[text.find(line) :])
            filled = len([name for name in match["given"].split(",") if name.strip()])
            made = replace(place, owner=owner[1] if owner else "", filled=filled)
            stack.append((indent, Place(made.key(match["key"]), parent=made.owner)))
        elif match := CALLABLE.match(line):
            owner = re.search(r"class_path='([^']+)'", match["value"])
            filled = len([name for name in match["given"].split(",") if name.strip()])
            yield (
                replace(place, owner=owner[1] if owner else "", filled=filled),
                match["reason"],
            )
        elif line:
            yield place, line


def _indexed(place: Place, token: str, text: str) -> Place:
    """Add the number of the list item that a message speaks of."""
    if "list[" not in place.subtypes:
        return place
    for match in GIVEN.finditer(text):
        number = _item_with(match[1], text)
        if number is not None:
            return replace(place, path=f"{place.path}[{number}]")
    return place


def _item_with(value: str, text: str) -> int | None:
    """Return which item of a list, as it is printed, holds the name the message is about."""
    wrong = [match for pattern in (*UNKNOWN, NO_CLASS) for match in pattern.finditer(text)]
    names = [(m.groupdict().get("key") or m["name"]).split(".")[-1] for m in wrong]
    names += [m[2] for m in EXPECTED.finditer(text) if m[2]]
    names += [m[1] for pattern in (WRONG_KIND, NO_SUBCLASS) for m in pattern.finditer(text)]
    names += [m[2] for m in NO_CLASS_PATH.finditer(text)]
    if not value.startswith("[") or not names:
        return None
    try:
        items = ast.parse(value, mode="eval").body
    except SyntaxError:
        return None
    assert isinstance(items, ast.List), "it starts with a bracket"
    printed = [ast.unparse(item) for item in items.elts]
    return next((n for n, item in enumerate(printed) if any(name in item for name in names)), None)


def _reason(line: str, place: Place, text: str, known: Known) -> tuple[int, str]:
    """Return how specific a line of a message is, and what it comes to."""
    for pattern in UNKNOWN:
        if match := pattern.match(line):
            group = match.groupdict().get("group")
            key = f"{group}.{match['key']}" if group else match["key"]
            return 5, _unknown_key(key, place, known)
    if told := _wrong_class(line, place, text):
        return 4, f"{place.path}.class_path: {told}"
    if match := NO_CLASS_PATH.match(line):
        return 4, _no_class_path(match[1], match[2], place, text)
    if match := MISSING_KEY.search(line):
        return 4, f"{place.key(match[1])}: got nothing, allowed: a value; it has no default"
    if match := NO_MAPPING.match(line):
        return _no_mapping(match[2], place, known)
    if match := NO_PATH_FORMAT.match(line):
        return 3, f"{place.path}: got {match[1]!r}, allowed: the path of a YAML file or a class"
    if match := EXPECTED.match(line):
        return _wrong_value(match, place, text, known)
    if place.subtypes and not line.startswith(("Does not validate", "Errors:", "Given value")):
        # Raised by a class of ours while it was built: it names its key itself.
        return 2, line if not place.path or ": got" in line else f"{place.path}: {line}"
    return 0, ""


def _wrong_class(line: str, place: Place, text: str) -> str:
    if (match := NO_MODULE.match(line)) and (told := module_hint(place.owner, match["name"])):
        return told
    if NO_CLASS.match(line) or NO_MODULE.match(line):
        return class_hint(place.owner, _kinds(place, text))
    if match := WRONG_KIND.match(line) or NO_SUBCLASS.match(line):
        return class_hint(match[1], _kinds(place, text), wrong_kind=match[2])
    return ""


def _kinds(place: Place, text: str) -> list[type]:
    """Return classes of which a subclass would fit, likeliest first."""
    name = re.sub(r"\[\d+\]$", "", place.path.rpartition(".")[2])
    kind = kind_of(place.parent, name) if place.parent else None
    return [*([kind] if kind else []), *kinds_in(text)]


def _no_class_path(record: str, class_path: str, place: Place, text: str) -> str:
    """Say that the keys of a record are written, not a class path."""
    at = _indexed(place, class_path, text)
    found = re.search(rf"[\w.]+\.{record}\b", place.subtypes)
    names = argument_names(found[0]) if found else []
    told = f"; write {names[0]}: {{class_path: {class_path}}}" if names else ""
    return f"{at.path}: got class_path {class_path!r}, allowed: {', '.join(names)}{told}"


def _no_mapping(given: str, place: Place, known: Known) -> tuple[int, str]:
    names = argument_names(place.parent, place.path.rpartition(".")[2]) if place.parent else []
    if not names and not place.path:  # the next line says it again, and of which key
        return 0, ""
    if not names:
        return 1, f"{place.path}: got {given!r}, allowed: a mapping of its keys, or a file of one"
    where = naming_file(known.files, given)
    return 4, not_a_mapping(place.path, f"{given!r}{where}", names)


def _wrong_value(match: re.Match[str], place: Place, text: str, known: Known) -> tuple[int, str]:
    alternatives = match[2] is None and place.subtypes
    allowed = _plain_types(place.subtypes if alternatives else match[1])
    given = match[2] and match[2].partition(". Got value: ")[0]  # that of what is around it
    if given is None:
        # A union prints the value it tried after its alternatives; the first is the innermost.
        after = text[text.find(match[0]) :]
        found = GIVEN.search(after)
        given = found[1] if found else "this value"
    where = _where(known, given)
    told = f"{place.path}: got {given}{where}, allowed: {allowed}; correct it"
    return 3 if match[2] is not None else 1, told


def _where(known: Known, given: str) -> str:
    """Say in which file a key or value stands, unless the command line gives it."""
    for argument in known.arguments:
        flag, _, value = argument.partition("=")
        if given in (argument, value) or (flag.startswith("-") and flag.endswith(f".{given}")):
            return ""
    return naming_file(known.files, given)


def _plain_types(text: str) -> str:
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", text)
    text = re.sub(r"typing\.Literal\[(.*?)\]", r"\1", text)
    text = text.replace("NoneType", "null").replace("collections.abc.", "")
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text).replace("'", "")


def _unknown_key(key: str, place: Place, known: Known) -> str:
    parent, _, name = key.rpartition(".")
    first = key.split(".")[0]
    if place.owner and not is_plain_record(place.owner):
        if near := did_you_mean(first, ("class_path", "init_args"), cutoff=0.75):
            where = naming_file(known.files, first)
            return f"{place.path}: got key {first!r}{where}, allowed: class_path, init_args{near}"
        path = place.key(parent) if parent else f"{place.path}.init_args"
    else:
        path = ".".join(filter(None, [place.path, parent]))
    if place.owner:
        names = argument_names(place.owner, parent, filled=place.filled)
        if not names:  # the parent itself is what does not exist
            path, name = path.removesuffix(f".{parent}"), first
            names = argument_names(place.owner, "", filled=place.filled)
    else:
        path, name, names = _nearest_level(key, known.keys)
    told = f"{path}: got key {name!r}" if path else f"got key {name!r}"
    return f"{told}{_where(known, name)}, {_allowed(name, names, path)}"


def _nearest_level(key: str, keys: Sequence[str]) -> tuple[str, str, list[str]]:
    """Return the deepest existing parent of a key, the wrong name below it, and the right ones."""
    parts = key.split(".")
    for depth in range(len(parts) - 1, -1, -1):
        parent = ".".join(parts[:depth])
        prefix = f"{parent}." if parent else ""
        names = [k.removeprefix(prefix).split(".")[0] for k in keys if k.startswith(prefix)]
        if names:
            return parent, parts[depth], list(dict.fromkeys(names))
    return "", key, []


def not_a_mapping(path: str, given: str, names: Sequence[str]) -> str:
    """Say that a key holds no mapping, and which keys such a mapping has."""
    return (
        f"{path}: got {given}, allowed: a mapping of {', '.join(names)}; write KEY: VALUE below it"
    )


def _allowed(name: str, names: Sequence[str], path: str) -> str:
    near = did_you_mean(name, names)
    if len(names) <= MAX_LISTED:
        listed = ", ".join(names)
    else:
        listed = f"one of {len(names)} keys" + (f" of {path}" if path else "")
        near = near or "; mmlite fit --help-all lists them"
    return f"allowed: {listed}{near or '; correct or remove it'}"
