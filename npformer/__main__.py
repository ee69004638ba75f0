"""``python -m npformer`` is ``npformer``."""

import sys

from .cli import main

sys.exit(main())
