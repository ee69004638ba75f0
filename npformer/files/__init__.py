"""Reading and writing with care: whole files or none, strict JSON, where shipped files are."""
