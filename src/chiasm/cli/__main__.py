"""python -m chiasm.cli"""

import sys

from chiasm.cli import main

sys.exit(main())
