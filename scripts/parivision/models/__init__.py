"""The candidates behind one small interface, and the files that they are kept in."""

from parivision.models.base import KINDS, Calibration, Model
from parivision.models.baselines import Constant, ZoneRate
from parivision.models.boosting import Boosting
from parivision.models.candidates import BASELINE, CANDIDATES
from parivision.models.files import load_model, save_model, sha256
from parivision.models.logistic import Logistic

__all__ = [
    "BASELINE",
    "CANDIDATES",
    "KINDS",
    "Boosting",
    "Calibration",
    "Constant",
    "Logistic",
    "Model",
    "ZoneRate",
    "load_model",
    "save_model",
    "sha256",
]
