"""Systems that answer Examples: end to end, or a perceiver and a reasoner."""

from mmlite.systems.info import QuestionInfo as QuestionInfo
from mmlite.systems.info import read_info as read_info
from mmlite.systems.perceivers import BlindPerceiver as BlindPerceiver
from mmlite.systems.perceivers import ModelPerceiver as ModelPerceiver
from mmlite.systems.perceivers import OraclePerceiver as OraclePerceiver
from mmlite.systems.perceivers import Perceiver as Perceiver
from mmlite.systems.reasoners import MajorityReasoner as MajorityReasoner
from mmlite.systems.reasoners import ModelReasoner as ModelReasoner
from mmlite.systems.reasoners import Reasoner as Reasoner
from mmlite.systems.reasoners import SymbolicReasoner as SymbolicReasoner
from mmlite.systems.store import PerceptionStore as PerceptionStore
from mmlite.systems.store import StoredEngine as StoredEngine
from mmlite.systems.store import Written as Written
from mmlite.systems.symbolic import QuestionReader as QuestionReader
from mmlite.systems.system import EndToEnd as EndToEnd
from mmlite.systems.system import System as System
from mmlite.systems.system import TwoStage as TwoStage
from mmlite.systems.system import system_name as system_name
