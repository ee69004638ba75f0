"""The commands of ``npformer``, each in a file with ``configure(parser)`` and ``run(args)``.

`run` returns the exit code.
"""
