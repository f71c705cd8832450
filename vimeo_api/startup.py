"""How our processes start and end sooner: Python's garbage collector rests while they load modules, and at their end.

While modules load there is next to no garbage, but the collector looks for it again and again. At the end the
interpreter would take everything apart, just before the kernel frees the memory anyway. Together this was two fifths of
the CPU of a short command. `cli`, `wsgi` and `worker` call `begin` and `end`.
"""

import atexit
import gc


def begin() -> None:
    """Begin to load modules. Objects that still live when the process ends are not taken apart."""
    gc.disable()
    atexit.register(gc.freeze)


def end() -> None:
    """Let the garbage collector work again: all modules are loaded."""
    gc.enable()
