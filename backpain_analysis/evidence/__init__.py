"""What studies reported and participants recorded: read, checked, filtered, summarised."""

from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.evidence import BACK_PAIN, Evidence, load_evidence
from backpain_analysis.evidence.faults import EvidenceError, Fault
from backpain_analysis.evidence.participants import Participants, load_participants
from backpain_analysis.evidence.participants_checking import check_participants, holds_participants
from backpain_analysis.evidence.streaming import visits_in_chunks
from backpain_analysis.evidence.wide import reshape_wide

__all__ = [
    "BACK_PAIN",
    "Evidence",
    "EvidenceError",
    "Fault",
    "Participants",
    "check_evidence",
    "check_participants",
    "holds_participants",
    "load_evidence",
    "load_participants",
    "reshape_wide",
    "visits_in_chunks",
]
