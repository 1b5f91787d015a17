"""Kinds of questions in three groups, and the set of them that a world asks."""

from mmlite.microworld.questions.base import GROUPS as GROUPS
from mmlite.microworld.questions.base import Derivation as Derivation
from mmlite.microworld.questions.base import Group as Group
from mmlite.microworld.questions.base import Kind as Kind
from mmlite.microworld.questions.base import Question as Question
from mmlite.microworld.questions.book import Questions as Questions
