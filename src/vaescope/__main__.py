"""``python -m vaescope``."""

import sys

from vaescope.cli import main

sys.exit(main())
