"""Chat: how the turns of a conversation become one text, and which of it is learnt."""

from mmlite.chat.base import Chat as Chat
from mmlite.chat.base import Segment as Segment
from mmlite.chat.strings import ChatTemplate as ChatTemplate
from mmlite.chat.strings import plain as plain
from mmlite.chat.strings import qwen_1_5 as qwen_1_5
from mmlite.chat.tokenizer_template import TokenizerTemplate as TokenizerTemplate
