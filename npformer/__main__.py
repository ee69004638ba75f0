"""``python -m npformer`` is ``npformer``."""

from .commands.main import run_process

run_process()
