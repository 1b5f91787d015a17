"""Batching: what fits into a batch, which examples meet in one, and loading them, resumably."""

from data_modules.batching.budget import BatchBudget as BatchBudget
from data_modules.batching.loader import PlannedLoader as PlannedLoader
from data_modules.batching.loader import none_left as none_left
from data_modules.batching.plan import BatchPlan as BatchPlan
from data_modules.batching.plan import Places as Places
from data_modules.batching.plan import Planned as Planned
from data_modules.batching.plan import Position as Position
