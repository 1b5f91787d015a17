"""Tasks: prompt fields, parse and score for each kind of answer. Text only, no torch."""

from mmlite.tasks.alternative import Alternative as Alternative
from mmlite.tasks.base import Task as Task
from mmlite.tasks.box import Box as Box
from mmlite.tasks.box import intersection_over_union as intersection_over_union
from mmlite.tasks.builtin import TASK_NAMES as TASK_NAMES
from mmlite.tasks.builtin import get_task as get_task
from mmlite.tasks.caption import Caption as Caption
from mmlite.tasks.caption import token_f1 as token_f1
from mmlite.tasks.constant import best_constant_guess as best_constant_guess
from mmlite.tasks.extraction import Extraction as Extraction
from mmlite.tasks.extraction import clause_f1 as clause_f1
from mmlite.tasks.multiple_choice import MultipleChoice as MultipleChoice
from mmlite.tasks.number import Number as Number
from mmlite.tasks.reading import without_thought as without_thought
from mmlite.tasks.short_answer import ShortAnswer as ShortAnswer
from mmlite.tasks.short_answer import normalize_answer as normalize_answer
from mmlite.tasks.yes_no import YesNo as YesNo
