"""The commands of ``npformer``, one a file: ``configure(parser)``, ``run(args) -> exit code``."""
