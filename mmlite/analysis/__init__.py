"""Statistics, plots and the report of a study, made from saved predictions alone."""

from mmlite.analysis.report import make_report as make_report
from mmlite.analysis.tensorboard import log_report as log_report
