"""Machine code: compiled from the kernels once for each machine, and kept in a file.

Numba turns the kernels into LLVM's intermediate representation, LLVM optimizes it for this
processor, and the object file is kept in the user's cache directory. Later processes read the file
with llvmlite alone, which takes milliseconds where importing Numba takes half a second, and call it
through ctypes, which lets other Python threads run meanwhile. The file's name is a hash of
everything that the code depends on (see `npformer.engine.code_file`).
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..kernels.processor import features as _features
from ..layers import Array
from . import code_file
from .entries import ENTRIES, Entry, arguments, function_at, symbol

NAME = "npformer"

_lock = threading.RLock()
_keep: list[Any] = []  # the execution engine owns the code


def unavailable_reason() -> str | None:
    """Say why the kernels cannot run here; None if they can."""
    try:
        if not has_fma(platform.machine(), _features()):
            return f"this processor ({platform.machine()}) has no fused multiply-add"
        entry()
    except Exception as error:  # such as a release of Numba or LLVM that works otherwise
        return describe(error)
    return None


def describe(error: Exception) -> str:
    """Say in words why the kernels could not be compiled: what is missing, or which versions fail.

    Parameters
    ----------
    error : Exception
        What importing Numba, or compiling with it, has raised.
    """
    if isinstance(error, ModuleNotFoundError):
        if error.name == "numba":
            return f"Numba is missing ({error})"
        if error.name in ("llvmlite", "llvmlite.binding"):
            return f"llvmlite is missing ({error})"
    versions = f"Numba {_version('numba')} and llvmlite {_version('llvmlite')}"
    reason = f"compiling the kernels failed with {versions} ({type(error).__name__}: {error})"
    return f"{reason}; another release of Numba may work"


def _version(package: str) -> str:
    from importlib import metadata  # here, since its import is slow

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(unknown version)"


def has_fma(machine: str, features: dict[str, bool]) -> bool:
    """Whether a processor has fused multiply-add; without it, LLVM calls a very slow function.

    Parameters
    ----------
    machine : str
        As `platform.machine` names it.
    features : dict
        As LLVM names them.
    """
    if machine.lower() in ("arm64", "aarch64"):
        return True
    return machine.lower() in ("x86_64", "amd64") and features.get("fma", False)


def entry(name: str = "execute") -> Entry:
    """Return one of `ENTRIES`, from the file, or compiled now.

    Raises whatever Numba or LLVM raise where they cannot compile them.
    """
    with _lock:
        return _entries()[name]


def call(name: str, *values: Array | int) -> None:
    """Run one of `ENTRIES` in this thread.

    Parameters
    ----------
    name : str
    *values : ndarray or int
        Flat arrays, then numbers.

    Raises
    ------
    IndexError
        If it reaches outside of an array; seen with ``NPFORMER_BOUNDSCHECK=1`` only.
    """
    status = np.zeros(2, np.int64)
    result = status.ctypes.data
    flat: list[int | None] = []
    for value in values:
        flat += arguments(value) if isinstance(value, np.ndarray) else (value,)
    if entry(name)(result, result + 8, *flat):
        raise IndexError(f"{name} reached outside of its memory")


@cache
def _entries() -> dict[str, Entry]:
    code = read()
    if code is None:
        code = compile_walk()
        write(code)
    return _link(code)


@cache
def key() -> str:
    """Hash of everything that machine code depends on: kernels, compiler, processor."""
    import llvmlite
    import llvmlite.binding as llvm

    package = Path(__file__).parent.parent
    sources = sorted((package / "kernels").glob("*.py"))
    ours = "walk.py", "quantized_walk.py", "turns.py", "steps.py", "machine_code.py", "entries.py"
    sources += [package / "engine" / name for name in ours]
    defined = "erf.py", "gelu_polynomial.py", "quantized_linear.py"
    sources += [package / "layers" / name for name in defined]
    features = ",".join(f"{name}={on}" for name, on in sorted(_features().items()))
    facts = f"{llvmlite.__version__} {sys.platform} {llvm.get_host_cpu_name()} {features}"
    digest = hashlib.sha256(f"{facts} {os.environ.get('NPFORMER_BOUNDSCHECK', '0')}".encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def file_name() -> str:
    """Return the name of the file of machine code."""
    return f"{NAME}-{key()[:32]}.o"


def read() -> bytes | None:
    """Return machine code from the file; None if there is none, or none that may be run."""
    return code_file.read(file_name())


def write(code: bytes) -> None:
    """Keep machine code in the file; warn if that is impossible."""
    code_file.write(file_name(), code)


def compile_walk() -> bytes:
    """Compile the object file, and say so, since it takes some seconds."""
    import llvmlite.binding as llvm

    print(
        "npformer: compiling its kernels for this processor, once (some seconds)",
        file=sys.stderr,
        flush=True,
    )
    module = llvm.parse_assembly("")
    for name, (text, inside) in _intermediate_code().items():
        part = llvm.parse_assembly(text)
        for function in part.functions:
            if function.name == inside:
                function.name = symbol(name)
            elif not function.is_declaration:
                function.linkage = "internal"
        module.link_in(part)
    machine = _target_machine()
    # The kernels are vectors already, and their loops as long as they should be.
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_unrolling = tuning.loop_vectorization = tuning.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)
    code: bytes = machine.emit_object(module)
    return code


def _intermediate_code() -> dict[str, tuple[str, str]]:
    """Return LLVM's intermediate representation of each of `ENTRIES`, and its name in there.

    Notes
    -----
    Numba would optimize each function, translate it to machine code, and do the same again with its
    copies inside every caller. Here both are switched off, which halves the time: LLVM does it
    once, for the whole. Numba works in contexts of its own, since kernels that this process has
    already compiled in the usual ones would be called from there, and not be inlined.

    That replaces internals of Numba, which another release may not have; `missing_internals` says
    which.
    """
    from numba import from_dtype, types
    from numba.core import codegen, compiler, cpu, typing
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

    from ..kernels.antialias import look_up, weigh_along, weigh_down
    from .steps import STEP
    from .walk import execute

    class Library(codegen.JITCodeLibrary):
        def _optimize_functions(self, module: Any) -> None:
            module.data_layout = self._codegen._data_layout

        def _optimize_final_module(self) -> None:
            pass

        def _finalize_specific(self) -> None:
            pass

        def get_pointer_to_function(self, name: str) -> int:
            return 0

    class Codegen(codegen.JITCPUCodegen):
        _library_class = Library

        def set_env(self, env_name: str, env: Any) -> None:
            pass

    number, floats, pixels = types.int64, types.float32[::1], types.uint8[::1]
    weighing = pixels, pixels, types.int32[::1]
    taken = {
        execute: (from_dtype(STEP)[::1], number[::1], floats, floats, floats),
        weigh_along: weighing,
        weigh_down: weighing,
        look_up: (floats, pixels, floats),
    }
    flags = compiler.Flags()
    flags.error_model = "numpy"
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    context = typing.Context()
    target = cpu.CPUContext(context, "cpu")
    ours = {"_toplevel_typing_context": context, "_toplevel_target_context": target}
    if missing := missing_internals(target):
        warnings.warn(
            f"Numba {_version('numba')} has no {', '.join(missing)}, which npformer replaces while "
            "it compiles its kernels; they may take longer to compile and run slower than with "
            "another release of Numba",
            RuntimeWarning,
            stacklevel=2,
        )
    found: dict[str, tuple[str, str]] = {}
    with global_compiler_lock:
        usual = cpu_target.typing_context, cpu_target.target_context
        vars(cpu_target).update(ours)
        try:
            context.refresh()
            target.refresh()
            target._internal_codegen = Codegen("npformer")
            for function, arrays in taken.items():
                name = function.__name__
                signature = *arrays, *ENTRIES[name].numbers * [number]
                result = compiler.compile_extra(
                    context, target, function, signature, types.void, flags, locals={}
                )
                result.library.finalize()
                found[name] = result.library.get_llvm_str(), result.fndesc.llvm_func_name
        finally:
            vars(cpu_target).update(zip(ours, usual, strict=True))
    return found


def missing_internals(target: Any) -> list[str]:
    """Name the internals that npformer replaces and this release of Numba does not have.

    Parameters
    ----------
    target : numba.core.cpu.CPUContext
    """
    from numba.core import codegen
    from numba.core.registry import cpu_target

    library = "_optimize_functions", "_optimize_final_module", "_finalize_specific"
    replaced = {
        codegen.JITCodeLibrary: (*library, "get_pointer_to_function"),
        codegen.JITCPUCodegen: ("_library_class", "set_env"),
        type(cpu_target): ("_toplevel_typing_context", "_toplevel_target_context"),
        target: ("_internal_codegen",),
    }
    return [
        f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
        for owner, names in replaced.items()
        for name in names
        if not hasattr(owner, name)
    ]


def _target_machine() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = ",".join(f"{'+' if on else '-'}{name}" for name, on in _features().items())
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=features,
        opt=3,
        reloc="static" if platform.machine().lower() in ("x86_64", "amd64") else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _link(code: bytes) -> dict[str, Entry]:
    """Load machine code into memory and return its functions, by their names in `ENTRIES`."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _keep.append(engine)
    return {
        name: function_at(engine.get_function_address(symbol(name)), takes)
        for name, takes in ENTRIES.items()
    }
