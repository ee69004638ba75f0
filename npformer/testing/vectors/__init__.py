"""Test vectors: what layers and small networks answer, for implementations in any language.

    drawing     numbers that are the same everywhere
    cases       the inputs of each layer, and what they are for
    networks    the small networks
    answers     outputs, gradients, bounds, and what typical mistakes answer
    halves      the same in 16 bits
    eight_bits  layers that multiply whole numbers
    layout      channels first or last
    writing     files and the manifest

``npformer vectors OUT`` writes them; `docs/vectors.md`, which is copied into the folder, specifies
the format.
"""

from .writing import Vectors, write_vectors

__all__ = ["Vectors", "write_vectors"]
