"""The candidates behind one small interface, and the files that they are kept in."""

from parivision.models.base import KINDS, Calibration, Model
from parivision.models.baselines import Constant, ZoneRate
from parivision.models.boosting import Boosting
from parivision.models.candidates import BASELINE, CANDIDATES, USUAL
from parivision.models.files import load_model, save_model, sha256
from parivision.models.hierarchical import Hierarchical
from parivision.models.logistic import Logistic
from parivision.models.neural import Neural
from parivision.models.stack import Stack

__all__ = [
    "BASELINE",
    "CANDIDATES",
    "KINDS",
    "USUAL",
    "Boosting",
    "Calibration",
    "Constant",
    "Hierarchical",
    "Logistic",
    "Model",
    "Neural",
    "Stack",
    "ZoneRate",
    "load_model",
    "save_model",
    "sha256",
]
