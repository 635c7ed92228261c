"""PariVision: how likely is an NBA shot to go in, how sure are we, and what is it worth?"""

import os

__version__ = "0.1.0"

# The libraries below phone home unless told not to. A workspace with other people's data does not.
for _switch, _value in {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # it would announce its tables in the report of whoever is first to use it
    "PLOOMBER_STATS_ENABLED": "false",
    "PLOOMBER_VERSION_CHECK_DISABLED": "true",
}.items():
    os.environ.setdefault(_switch, _value)

# Trees are fitted by threads that, while one waits for another, would otherwise keep its core busy with waiting: two
# fits beside each other on two cores then take twice as long, against a tenth more for one that is alone.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
