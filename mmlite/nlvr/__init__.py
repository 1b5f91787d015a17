"""NLVR: its scenes, descriptions and relevant parts of them, facts, and official measures."""

from mmlite.nlvr.descriptions import WORDS as WORDS
from mmlite.nlvr.descriptions import describe as describe
from mmlite.nlvr.descriptions import extract as extract
from mmlite.nlvr.facts import judge_items as judge_items
from mmlite.nlvr.facts import score_items as score_items
from mmlite.nlvr.official import OfficialScore as OfficialScore
from mmlite.nlvr.official import answers_of as answers_of
from mmlite.nlvr.official import read_official as read_official
from mmlite.nlvr.official import score as score
from mmlite.nlvr.official import write_official as write_official
from mmlite.nlvr.scene import BoxScene as BoxScene
from mmlite.nlvr.scene import is_tower as is_tower
from mmlite.nlvr.statements import draw_statement as draw_statement
