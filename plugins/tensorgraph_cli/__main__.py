"""``python -m tensorgraph_cli`` is ``tensorgraph``."""

import sys

from tensorgraph_cli import main

sys.exit(main())
