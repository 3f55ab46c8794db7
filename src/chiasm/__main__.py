"""The command line as a module: python -m chiasm."""

import sys

from chiasm.cli import main

sys.exit(main())
