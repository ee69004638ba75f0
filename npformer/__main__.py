"""``python -m npformer`` is ``npformer``."""

import sys

from .commands.main import main

sys.exit(main())
