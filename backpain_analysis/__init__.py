"""Exercise and back pain: real trial evidence in, dose-response estimates and reports out.

The public names stand in `__init__.pyi`; each is imported when it is first used.
"""

from importlib.metadata import version as _version

import lazy_loader as _lazy

from backpain_analysis import _moved

__version__ = _version("backpain-analysis")
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
_moved.install()
