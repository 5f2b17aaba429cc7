"""Exercise and back pain: real trial evidence in, dose-response estimates and reports out.

The public names stand in `__init__.pyi`; each is imported when it is first used.
"""

import lazy_loader as _lazy

from backpain_analysis import _moved

_attached, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
_moved.install()


def __getattr__(name: str) -> object:
    """Public names, and the version, when they are first asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("backpain-analysis")
    return _attached(name)
