"""Careful reading and writing: whole files or none, strict JSON, and where shipped files are."""
