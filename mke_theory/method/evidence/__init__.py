"""Evidence students: an expert for each modality, added up, with nothing to tune."""

from mke_theory.method.answers import Answers
from mke_theory.method.evidence.arithmetic import soft_confusion
from mke_theory.method.evidence.expansion import Plan, carry_out, evidence_plan, expand_by_evidence
from mke_theory.method.evidence.expert_sum import Expert, ExpertSum
from mke_theory.method.evidence.experts import FromClassifier
from mke_theory.method.evidence.result import distilling_job
from mke_theory.method.evidence.settings import (
    EXPERTS,
    EvidenceExpansion,
    EvidenceJob,
    EvidenceSettings,
    Round,
    settings_for,
)

__all__ = [
    "EXPERTS",
    "Answers",
    "EvidenceExpansion",
    "EvidenceJob",
    "EvidenceSettings",
    "Expert",
    "ExpertSum",
    "FromClassifier",
    "Plan",
    "Round",
    "carry_out",
    "distilling_job",
    "evidence_plan",
    "expand_by_evidence",
    "settings_for",
    "soft_confusion",
]
