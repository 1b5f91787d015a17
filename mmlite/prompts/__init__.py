"""Prompt sets as data files: `micro` and `paper`, or a file of your own."""

from mmlite.prompts.extraction import extraction_prompt as extraction_prompt
from mmlite.prompts.prompt_set import PROMPT_SET_NAMES as PROMPT_SET_NAMES
from mmlite.prompts.prompt_set import PromptSet as PromptSet
from mmlite.prompts.prompt_set import load_prompts as load_prompts
