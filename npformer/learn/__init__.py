"""Learning: losses, optimisers, data, and the loop that brings them together.

>>> from npformer import learn
>>> learn.fit("photos", "result")  # doctest: +SKIP
"""
