"""What studies reported and participants recorded: read, checked, filtered, summarised."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "checking": ["check_evidence"],
        "evidence": ["BACK_PAIN", "Evidence", "load_evidence"],
        "faults": ["EvidenceError", "Fault"],
        "participants": ["Participants", "load_participants"],
        "participants_checking": ["check_participants", "holds_participants"],
        "streaming": ["visits_in_chunks"],
        "wide": ["reshape_wide"],
    },
)
