"""Plan: what a run needs, before it runs and without its weights."""

from mmlite.plan.devices import Devices as Devices
from mmlite.plan.devices import devices_of as devices_of
from mmlite.plan.estimate import Estimate as Estimate
from mmlite.plan.estimate import Run as Run
from mmlite.plan.estimate import estimate as estimate
from mmlite.plan.estimate import length_of as length_of
from mmlite.plan.flex import is_flex as is_flex
from mmlite.plan.sample import Assumption as Assumption
from mmlite.plan.sample import Sample as Sample
from mmlite.plan.sample import assumed_sample as assumed_sample
from mmlite.plan.sample import read_sample as read_sample
from mmlite.plan.simulation import Simulation as Simulation
from mmlite.plan.table import tables as tables
from mmlite.plan.trace import Trace as Trace
from mmlite.plan.trace import build_weightless as build_weightless
from mmlite.plan.trace import trace_step as trace_step
