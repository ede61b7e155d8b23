"""ONNX Runtime, which reports nothing: by itself it tells Microsoft of each use, from version 1.29 on Linux and macOS.

It sends the versions of program and system, the processor, a number of the device that it keeps in ~/.cache/Microsoft,
and names and digests of the nets; no pictures. `fer/__init__.py` sets the variable that stops all of it.
"""

from types import ModuleType


def import_onnxruntime() -> ModuleType:
    """Import the library, late, as it takes 0.1 s and not every command needs it."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # of Windows, where the system collects them and the variable is not asked
    return onnxruntime
