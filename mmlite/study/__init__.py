"""Studies: chains and grids of runs, their evaluation and their report."""

from mmlite.study.spec import StudySpec as StudySpec
