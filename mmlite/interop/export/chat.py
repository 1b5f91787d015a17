"""Our chat templates as Jinja, so that transformers writes the same text."""

import json

from transformers import PreTrainedTokenizerBase

from mmlite.chat import Chat, ChatTemplate, TokenizerTemplate
from mmlite.records import IMAGE_PLACEHOLDER

# A turn's content is a text, or a list of texts and images, as transformers' processors take it.
_TEXT_OF = """\
{%- macro text_of(content) -%}
{%- if content is string -%}{{ content.replace(PLACEHOLDER, IMAGE) }}
{%- else -%}
{%- for part in content -%}
{%- if part.type == 'image' -%}{{ IMAGE }}
{%- elif part.type == 'text' -%}{{ part.text.replace(PLACEHOLDER, IMAGE) }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
"""

_IMAGES_OF = """\
{%- macro images_of(content) -%}
{%- if content is string -%}{{ IMAGE * (content.split(PLACEHOLDER)|length - 1) }}
{%- else -%}
{%- for part in content -%}{%- if part.type == 'image' -%}{{ IMAGE }}{%- endif -%}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
"""

_FLATTENED = """\
{%- set flat = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- set flat.messages = flat.messages + [dict(message, content=text_of(message.content))] -%}
{%- endfor -%}
{%- set messages = flat.messages -%}
"""


def to_jinja(chat: Chat, tokenizer: PreTrainedTokenizerBase, image_token: str) -> str:
    """Return a chat template in Jinja that writes what ours does.

    Args:
        chat: Ours.
        tokenizer: May have a template of its own.
        image_token: Stands for an image in the text.

    Raises:
        ValueError: If it is a chat of another kind.
    """
    image = f"{chat.image_start}{image_token}{chat.image_end}"
    head = _quoted(_TEXT_OF, PLACEHOLDER=IMAGE_PLACEHOLDER, IMAGE=image)
    if isinstance(chat, TokenizerTemplate):
        own = tokenizer.chat_template
        assert isinstance(own, str), "the run used it"
        thinking = (
            "{%- if enable_thinking is not defined -%}"
            f"{{%- set enable_thinking = {str(chat.thinking).lower()} -%}}{{%- endif -%}}\n"
        )
        return head + thinking + _default_system(chat.default_system) + _FLATTENED + own
    if not isinstance(chat, ChatTemplate):
        raise ValueError(
            f"export: got processor.chat {type(chat).__name__}, allowed: ChatTemplate or "
            "TokenizerTemplate, which can be written as Jinja; use one of them"
        )
    return head + _from_strings(chat, image)


def _from_strings(chat: ChatTemplate, image: str) -> str:
    user = "text_of" if chat.user_text else "images_of"
    text = "" if chat.user_text else _quoted(_IMAGES_OF, PLACEHOLDER=IMAGE_PLACEHOLDER, IMAGE=image)
    text += _default_system(chat.default_system) + "{%- for message in messages -%}\n"
    for role in ("system", "user", "assistant"):
        start, end, after = chat.around(role)
        macro = user if role == "user" else "text_of"
        text += (
            f"{{%- {'el' if role != 'system' else ''}if message.role == '{role}' -%}}"
            f"{{{{ {_string(start)} + {macro}(message.content) + {_string(end + after)} }}}}\n"
        )
    text += "{%- endif -%}\n{%- endfor -%}\n"
    answer = _string(chat.assistant_start)
    return text + f"{{%- if add_generation_prompt -%}}{{{{ {answer} }}}}{{%- endif -%}}\n"


def _default_system(system: str) -> str:
    if not system:
        return ""
    turn = f"[{{'role': 'system', 'content': {_string(system)}}}]"
    return (
        "{%- if messages and messages[0].role != 'system' -%}"
        f"{{%- set messages = {turn} + messages -%}}{{%- endif -%}}\n"
    )


def _quoted(template: str, **values: str) -> str:
    for name, value in values.items():
        template = template.replace(name, _string(value))
    return template


def _string(text: str) -> str:
    """Return a text as a string of Jinja: ASCII, line ends escaped."""
    return json.dumps(text)
