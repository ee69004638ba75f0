"""Prove the truth of every case without npformer's comparison: python verify.py [PART OF A NAME]"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from npformer.testing.compare.causes import CAUSES
from safetensors.numpy import load_file

from case import Case, Made
from cases import CASES, FINE

RIGHT, BEFORE, WRONG = 1e-5, 4e-6, 8e-5  # the tanh of GELU is wrong by no more than 1e-4


def error(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the largest right number."""
    return float(np.abs(a.astype("f8") - b).max() / max(np.abs(a).max(), 1e-30))


def artifact(made: Made) -> float:
    """How far what is handed in is from the arrays of the proof."""
    x, logits = made.proof[0][2], made.proof[-1][2]
    if isinstance(made.other, torch.nn.Module):
        y = made.other(torch.from_numpy(x))
        return error(logits, (y if isinstance(y, torch.Tensor) else y.logits).numpy())
    if made.other.suffix == ".onnx":
        session = ort.InferenceSession(str(made.other), providers=["CPUExecutionProvider"])
        return error(logits, session.run(None, {session.get_inputs()[0].name: x})[0])
    if made.other.name.startswith("activations"):
        held = dict(np.load(made.other)) if made.other.suffix == ".npz" else load_file(made.other)
        known = [np.sort(w.ravel()) for _, _, w in made.proof]
        known += [np.sort(w[0].ravel()) for _, _, w in made.proof]
        strange = [
            k
            for k, a in held.items()
            if not any(k.size == a.size and error(k, np.sort(a.ravel())) < 1e-6 for k in known)
        ]
        return float(bool(set(strange) - {"timestamps", "grad_norm", "labels"}))
    return 0.0  # a checkpoint: the proof was computed from the file


def prove(case: Case, fine: bool = False) -> str:
    """Return what is wrong with a case, or nothing."""
    if strange := {c for c in case.causes if c} - set(CAUSES):
        return f"no such cause: {strange}"
    with tempfile.TemporaryDirectory() as folder:
        made = case.make(Path(folder))
        off = artifact(made)
    if off > RIGHT:
        return f"what is handed in is {off:.1e} from the proof"
    errors = [(p, error(a, b)) for p, a, b in made.proof]
    if not case.first:
        return (
            ""
            if max(e for _, e in errors) <= RIGHT
            else f"not right: {max(errors, key=lambda e: e[1])}"
        )
    limit = 0 if fine else BEFORE
    path, first = next(((p, e) for p, e in errors if e > limit), ("", 0))
    if path not in case.first:
        return f"first wrong is {path} ({first:.1e}), said {case.first}"
    shown = [e for p, e in errors if p in case.first][-1]  # the first wrong array that was recorded
    return (
        ""
        if fine or min(first, shown) >= WRONG
        else f"{path} is only {first:.1e} off, what is seen {shown:.1e}"
    )


if __name__ == "__main__":
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    counts: Counter[str] = Counter()
    assert len({c.name for c in CASES + FINE}) == len(CASES + FINE), Counter(
        c.name for c in CASES + FINE
    ).most_common(2)
    for case in CASES + FINE:
        if part not in case.name:
            continue
        kind, start = (
            "fine" if case in FINE else "wrong" if case.first else "right",
            time.perf_counter(),
        )
        try:
            bad = prove(case, kind == "fine")
        except Exception as failure:
            bad = f"{type(failure).__name__}: {failure}"
        counts[kind + (" FAILED" if bad else " proved")] += 1
        if bad or (took := time.perf_counter() - start) > 4:
            print(f"{case.name}: {bad or f'{took:.1f} s'}", flush=True)
    print(dict(counts))
    print(
        "causes without a case:", sorted(set(CAUSES) - {c for case in CASES for c in case.causes})
    )
