"""Export: a trained model as a folder that plain transformers loads."""

from mmlite.interop.export.folder import Exported as Exported
from mmlite.interop.export.folder import Labels as Labels
from mmlite.interop.export.folder import export_run as export_run
