"""A generated world with ground truth: scenes, pictures, descriptions, questions, derivations.

One scene gives its picture (`render`), a caption and the full facts (`descriptions`), questions
with answers and the extraction that answers each (`questions`), and a step-by-step derivation
computed from any description (`questions`). `facts` scores what a description says against the
scene. Nothing here needs torch.
"""

from mmlite.microworld.corpus import CorpusMix as CorpusMix
from mmlite.microworld.corpus import TextItem as TextItem
from mmlite.microworld.corpus import text_item as text_item
from mmlite.microworld.descriptions import caption as caption
from mmlite.microworld.descriptions import caption_by_shape as caption_by_shape
from mmlite.microworld.descriptions import full_description as full_description
from mmlite.microworld.examples import caption_example as caption_example
from mmlite.microworld.examples import choice_example as choice_example
from mmlite.microworld.examples import world_example as world_example
from mmlite.microworld.export import ExportPlan as ExportPlan
from mmlite.microworld.export import export_world as export_world
from mmlite.microworld.facts import FactScore as FactScore
from mmlite.microworld.facts import judge_clauses as judge_clauses
from mmlite.microworld.facts import score_facts as score_facts
from mmlite.microworld.heldout import HeldOut as HeldOut
from mmlite.microworld.heldout import draw_held_out as draw_held_out
from mmlite.microworld.knowledge import Knowledge as Knowledge
from mmlite.microworld.preview import preview_world as preview_world
from mmlite.microworld.questions import Kind as Kind
from mmlite.microworld.questions import Question as Question
from mmlite.microworld.questions import Questions as Questions
from mmlite.microworld.render import Picture as Picture
from mmlite.microworld.render import render as render
from mmlite.microworld.scene import Object as Object
from mmlite.microworld.scene import Scene as Scene
from mmlite.microworld.scene import WorldConfig as WorldConfig
from mmlite.microworld.scene import draw_scene as draw_scene
from mmlite.microworld.scene import draw_scene_of as draw_scene_of
from mmlite.microworld.scene import split_of as split_of
