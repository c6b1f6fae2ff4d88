"""``cd tests && python -m planted``: the table of planted faults; the exit status is 1 if one is
missed."""

import sys

from planted import FAULTS
from planted.table import show

sys.exit(show(FAULTS) > 0)
