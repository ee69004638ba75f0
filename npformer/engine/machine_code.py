"""Machine code: made from the kernels once for each machine, and kept in a file.

Numba turns the kernels into LLVM's intermediate representation, LLVM optimizes it for this
processor, and the object file goes into a directory of the user's. Later processes read the file
with llvmlite alone, which takes milliseconds where importing Numba takes half a second, and call it
through ctypes, which lets other Python threads run meanwhile. The file's name is a hash of
everything that it depends on; a file that is not what it should be is made again.

``NPFORMER_CACHE_DIR`` names another directory. If none can be written to, the code is made anew in
each process, with one warning.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from ..layers import Array

Entry: TypeAlias = Callable[..., int]
"""`npformer.engine.walk.execute`, compiled. It takes two addresses, where Numba's functions put a
result and an error, then what `arguments` makes of each array, and the numbers."""

NAME = "npformer_walk"

_lock = threading.RLock()
_keep: list[Any] = []  # the execution engine owns the code


def obstacle() -> str | None:
    """Say why the kernels cannot run here; None if they can."""
    try:
        import llvmlite.binding  # noqa: F401
    except ImportError as error:
        return f"llvmlite is missing ({error})"
    if not has_fma(platform.machine(), _features()):
        return f"this processor ({platform.machine()}) has no fused multiply-add"
    try:
        entry()
    except ImportError as error:
        return f"Numba is missing ({error})"
    except Exception as error:  # a version of Numba or LLVM that works otherwise
        return f"compiling the kernels failed ({type(error).__name__}: {error})"
    return None


def has_fma(machine: str, features: dict[str, bool]) -> bool:
    """Whether a processor has fused multiply-add. Without, LLVM calls a very slow function."""
    if machine.lower() in ("arm64", "aarch64"):
        return True
    return machine.lower() in ("x86_64", "amd64") and features.get("fma", False)


@cache
def _features() -> dict[str, bool]:
    import llvmlite.binding as llvm

    return dict(llvm.get_host_cpu_features())


def entry() -> Entry:
    """Return the compiled walk, from the file or freshly made."""
    with _lock:
        return _entry()


@cache
def _entry() -> Entry:
    code = read()
    if code is None:
        code = compile_walk()
        write(code)
    return _link(code)


def cache_directory() -> Path:
    """Where machine code is kept."""
    if chosen := os.environ.get("NPFORMER_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "npformer"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/npformer"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "npformer"


@cache
def key() -> str:
    """Hash of all that machine code depends on: kernels, compiler, processor."""
    import llvmlite
    import llvmlite.binding as llvm

    package = Path(__file__).parent.parent
    sources = sorted((package / "kernels").glob("*.py"))
    sources += [package / "engine" / name for name in ("walk.py", "steps.py", "machine_code.py")]
    sources += [package / "layers" / "erf.py"]
    features = ",".join(f"{name}={on}" for name, on in sorted(_features().items()))
    facts = f"{llvmlite.__version__} {sys.platform} {llvm.get_host_cpu_name()} {features}"
    digest = hashlib.sha256(f"{facts} {os.environ.get('NPFORMER_BOUNDSCHECK', '0')}".encode())
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _path() -> Path:
    return cache_directory() / f"{NAME}-{key()[:32]}.o"


def read() -> bytes | None:
    """Machine code from the file; None if there is none, or if it is damaged."""
    try:
        data = _path().read_bytes()
    except (OSError, RuntimeError):  # no file; no home directory
        return None
    digest, code = data[:32], data[32:]
    return code if hashlib.sha256(code).digest() == digest else None


def write(code: bytes) -> None:
    """Keep machine code: whole or not at all, and readable by this user only."""
    try:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        warnings.warn(
            f"npformer cannot keep its compiled kernels ({error}) and will compile them in every "
            "process; set NPFORMER_CACHE_DIR to a directory that can be written to",
            RuntimeWarning,
            stacklevel=2,
        )


def compile_walk() -> bytes:
    """Make the object file. This takes some seconds, and says so."""
    import llvmlite.binding as llvm

    print(
        "npformer: compiling its kernels for this processor, once (some seconds)",
        file=sys.stderr,
        flush=True,
    )
    text, name = _intermediate_code()
    module = llvm.parse_assembly(text)
    for function in module.functions:
        if function.name == name:
            function.name = NAME
        elif not function.is_declaration:
            function.linkage = "internal"
    machine = _target_machine()
    # The kernels are vectors already, and their loops as long as they should be.
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_unrolling = tuning.loop_vectorization = tuning.slp_vectorization = False
    passes = llvm.create_pass_builder(machine, tuning)
    passes.getModulePassManager().run(module, passes)
    code: bytes = machine.emit_object(module)
    return code


def _intermediate_code() -> tuple[str, str]:
    """What Numba makes of the walk, not yet optimized, and the walk's name in it.

    Notes
    -----
    Numba would optimize each function, translate it to machine code, and do the same again with its
    copies inside of every caller. Here it is kept from both, which halves the time: LLVM does it
    once, for the whole. It works in contexts of its own, since kernels that this process has
    compiled otherwise would come from there as they are, and not be put into their callers.
    """
    from numba import from_dtype, types
    from numba.core import codegen, compiler, cpu, typing
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.registry import cpu_target

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

    number, floats = types.int64, types.float32[::1]
    signature = from_dtype(STEP)[::1], number[::1], floats, floats, floats, *6 * [number]
    flags = compiler.Flags()
    flags.error_model = "numpy"
    flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    context = typing.Context()
    target = cpu.CPUContext(context, "cpu")
    ours = {"_toplevel_typing_context": context, "_toplevel_target_context": target}
    with global_compiler_lock:
        usual = cpu_target.typing_context, cpu_target.target_context
        vars(cpu_target).update(ours)
        try:
            context.refresh()
            target.refresh()
            target._internal_codegen = Codegen("npformer")
            result = compiler.compile_extra(
                context, target, execute, signature, types.void, flags, locals={}
            )
            result.library.finalize()
        finally:
            vars(cpu_target).update(zip(ours, usual, strict=True))
    return result.library.get_llvm_str(), result.fndesc.llvm_func_name


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


def _link(code: bytes) -> Entry:
    """Put machine code into memory and make a function of it."""
    import llvmlite.binding as llvm

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _keep.append(engine)
    address, number = ctypes.c_void_p, ctypes.c_int64
    array = [address, address, number, number, address, number, number]
    kind = ctypes.CFUNCTYPE(ctypes.c_int32, address, address, *5 * array, *6 * [number])
    function: Entry = kind(engine.get_function_address(NAME))
    return function


def arguments(array: Array) -> tuple[int | None, ...]:
    """A flat array as Numba's functions take it: owner, parent, size, …, address, shape, step."""
    size, step = len(array), array.itemsize
    return None, None, size, step, array.ctypes.data, size, step
