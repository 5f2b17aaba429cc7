"""What studies reported: read, checked, filtered, summarised."""

from backpain_analysis.evidence.checking import check_evidence
from backpain_analysis.evidence.evidence import BACK_PAIN, Evidence, load_evidence
from backpain_analysis.evidence.faults import EvidenceError, Fault

__all__ = ["BACK_PAIN", "Evidence", "EvidenceError", "Fault", "check_evidence", "load_evidence"]
