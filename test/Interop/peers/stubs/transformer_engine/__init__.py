"""CPU stand-in for Transformer Engine: only what Megatron Core/Bridge touch, on plain torch.

It makes mcore's own TE wrappers (megatron/core/extensions/transformer_engine.py) work on CPU, so that
module names, state-dict keys and `_extra_state` entries are those of a real TE model.
TE version can be chosen by TE_STUB_VERSION (default 2.9.0); it selects the form of `_extra_state`:
>= 2.5 an empty uint8 tensor, 2.0-2.4 a uint8 tensor holding a pickle (1.x is not complete enough to import).
"""

import os

__version__ = os.environ.get("TE_STUB_VERSION", "2.9.0")
from . import common, pytorch  # noqa
