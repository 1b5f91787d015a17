"""Callbacks: observers of training; removing them all changes no number."""

from callbacks.categories import CategoryMetrics as CategoryMetrics
from callbacks.curve import LossCurve as LossCurve
from callbacks.hparams import HyperParameters as HyperParameters
from callbacks.parts import PartsReport as PartsReport
from callbacks.predictions import PredictionWriter as PredictionWriter
from callbacks.samples import SamplePanel as SamplePanel
from callbacks.throughput import Throughput as Throughput
