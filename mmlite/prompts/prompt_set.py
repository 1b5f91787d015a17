"""Prompt sets: reading them from data files, and filling in their fields."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROMPT_SET_NAMES: tuple[str, ...] = ("micro", "paper")
"""Prompt sets that come with the package."""

_FOLDER = Path(__file__).parent
_FILE_KEYS = ("source", "base", "templates")
_FIELD = re.compile(r"(Question: )?\{(\w+)\}([.\n ]?)")
_OWN_LABELS = ("question:", "hint:")


@dataclass(frozen=True, slots=True)
class PromptSet:
    """Templates of prompts by key, with the place they come from.

    Attributes:
        name: Built-in name, or the path of the file.
        source: Where the words come from.
        templates: Key to text with fields in braces, such as `{question}`.
    """

    name: str
    source: str
    templates: Mapping[str, str]

    def render(self, key: str, /, **fields: str | None) -> str:
        """Fill in the fields of one template.

        Values go in literally: braces in them mean nothing. What a value brings itself is not
        repeated: a full stop, line end or space after a field is left out where the value ends
        in one, so is a space after an empty value, and the label `Question: ` before a value
        that begins with `Question:` or `Hint:`.

        Args:
            key: Which template.
            fields: Values by field; ones that the template does not name are ignored.

        Returns:
            The prompt.
        """
        template = self._template(key)
        named = dict.fromkeys(match[1] for match in _FIELD.findall(template))
        given = {name: value for name, value in fields.items() if value is not None}
        missing = [name for name in named if name not in given]
        if missing:
            raise ValueError(
                f"prompts {self.name}, {key}: missing {', '.join(missing)}, "
                f"given: {', '.join(given) or 'nothing'}; give the field or use another template"
            )
        return _FIELD.sub(lambda match: _fill(match, given), template)

    def fields(self, key: str) -> tuple[str, ...]:
        """Return the names of the fields of one template, in order."""
        return tuple(dict.fromkeys(match[1] for match in _FIELD.findall(self._template(key))))

    def task_key(self, key: str, task_name: str) -> str:
        """Return the key of a template for one task: `KEY.TASK` where there is one, else `KEY`."""
        special = f"{key}.{task_name}"
        return special if special in self.templates else key

    def answer_key(self, task_name: str) -> str:
        """Return the key of the template that asks for an answer of one task."""
        return self.task_key("answer", task_name)

    def _template(self, key: str) -> str:
        if key not in self.templates:
            raise ValueError(
                f"prompts {self.name}: got key {key!r}, allowed: {', '.join(self.templates)}; "
                f"add the template to the prompt set or use another set"
            )
        return self.templates[key]


def _fill(match: re.Match[str], fields: Mapping[str, str]) -> str:
    label, name, following = match.groups(default="")
    value = fields[name]
    if value.strip().lower().startswith(_OWN_LABELS):
        label = ""
    if following == " " and not value.strip():
        return label
    if value.endswith(following):
        following = ""
    return label + value + following


def load_prompts(name_or_path: str | Path) -> PromptSet:
    """Read a prompt set.

    A file holds `source` (where the words come from), `templates` (key to text), and may name
    a built-in set as `base`, of which it then says only what differs.

    Args:
        name_or_path: Name of a built-in set, or path of a YAML file.
    """
    if name_or_path in PROMPT_SET_NAMES:
        return _read(str(name_or_path), _FOLDER / f"{name_or_path}.yaml")
    path = Path(name_or_path)
    if not path.is_file():
        raise ValueError(
            f"prompts: got {str(name_or_path)!r}, allowed: {', '.join(PROMPT_SET_NAMES)} or the "
            f"path of a YAML file; check the name, or that the file is there"
        )
    return _read(str(path), path)


def _read(name: str, path: Path) -> PromptSet:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"prompts {name}: not readable as YAML in UTF-8, correct the file: {error}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"prompts {name}: got {type(content).__name__}, allowed: a mapping with source and "
            f"templates; see the built-in set micro"
        )
    problems = _problems(content)
    if problems:
        raise ValueError(f"prompts {name}: {'; '.join(problems)}")
    templates: dict[str, str] = content["templates"]
    if "base" in content:
        templates = {**load_prompts(content["base"]).templates, **templates}
    return PromptSet(name=name, source=content["source"], templates=templates)


def _problems(content: Mapping[Any, Any]) -> list[str]:
    problems = [
        f"got key {key!r}, allowed: {', '.join(_FILE_KEYS)}"
        for key in content
        if key not in _FILE_KEYS
    ]
    source, templates = content.get("source"), content.get("templates")
    if not isinstance(source, str) or not source.strip():
        problems.append(f"source: got {source!r}, allowed: where the words come from")
    if "base" in content and content["base"] not in PROMPT_SET_NAMES:
        problems.append(f"base: got {content['base']!r}, allowed: {', '.join(PROMPT_SET_NAMES)}")
    if not isinstance(templates, dict) or not templates:
        problems.append(f"templates: got {templates!r}, allowed: a mapping of keys to texts")
        return problems
    problems += [
        f"templates.{key}: got {text!r}, allowed: a text under a text key"
        for key, text in templates.items()
        if not isinstance(key, str) or not isinstance(text, str)
    ]
    return problems
