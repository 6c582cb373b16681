r"""Semi-supervised methods, each a setting of the one objective in `mke_theory.method.objective`.

    w · mean l_cls(label, f(T(x)))  +  γ(t) · mean l_reg(g(T'(x)), f(T(x)))

>>> print(table(methods()))
method                learns  L_pl   T       T'      anchor   l_reg          further
MKE                   ỹ       T(x)   strong  -       student  squared_l2
Noisy Student         D_l, ỹ  T(x)   strong  -       -        -              3 rounds, soft ỹ
Pseudo-Label          D_l     T(x)   -       same    stopped  hard           ramp 0.3
Entropy minimisation  D_l     T(x)   -       same    student  cross_entropy
Π-model               D_l     T(x)   strong  strong  student  squared_l2     ramp 0.3
Mean Teacher          D_l     T(x)   strong  strong  average  squared_l2     ramp 0.3, result θ'
UDA                   D_l     x      strong  -       stopped  kl             certainty 0.8, τ 0.4
FixMatch              D_l     T'(x)  strong  weak    stopped  hard           certainty 0.95

Legend. learns: D_l with its labels, a fixed teacher's labels ỹ, or both; D_u takes part in l_reg
either way. L_pl: the view that the first term sees. T, T': perturbations ("same": one pass for both
views). anchor: whose answer g is: the student's, the stopped student's (no gradient), or that of
the average θ' of its weights. τ: the temperature of the anchor. Each file states its paper and
where it departs from it; how the weights γ and ramps are set is the caller's business.

What the settings have in common, in five statements. Each is tested.

1.  Training on perturbed inputs is a surrogate of disagreement *and* inconsistency. Let B(x) be all
    that T can make of x, and T able to leave x as it is. Then

        sup_T 1[f(Tx) ≠ ỹ]  =  1[f(x) ≠ ỹ, or f is not constant on B(x)]

    Proof: the left side is 0 exactly if f is ỹ on all of B(x), which contains x; so exactly if f
    is constant there with the value f(x) = ỹ. Its mean S over x therefore satisfies
    max(L01, R_B) ≤ S ≤ L01 + R_B, L01 = P(f ≠ ỹ), R_B = P(f is not constant on B(x)).
    And with cross-entropy ℓ (natural logarithm), f(Tx) ≠ ỹ means that ỹ has probability at most
    1/2, so 1[f(Tx) ≠ ỹ] ≤ ℓ/log 2. Hence E_T of ℓ bounds the error at a *random* T,

        E_x P_T(f(Tx) ≠ ỹ)  ≤  (1/log 2) · E_x E_T ℓ

    and the worst case where T takes finitely many values with chance p or more each:

        L01 + R_B  ≤  2 S  ≤  2/(p log 2) · E_x E_T ℓ

    because a maximum of numbers ≥ 0 is at most their mean over p. For noise with a density p is 0:
    the mean over T then says nothing of the rare T.
2.  Entropy minimisation is cross-entropy of a view to itself, gradients into both. With the target
    stopped the gradient in the logits is p − p = 0, so all of it comes through the target:
    ∂H/∂z_j = −p_j (log p_j + H). Pseudo-Label's is p_j − 1[j = argmax], the gradient of −log max p.
    Both are Rényi entropies of the answer: order 1 and order ∞, H_∞ ≤ H_1. For two classes
    with logit difference m ≥ 0 they push m up by m p(1−p) and by 1−p, p = 1/(1+e^−m): their
    quotient is m p. So entropy pushes harder on the sure (m p > 1, m > 1.278), Pseudo-Label on the
    unsure, and at m = 0 entropy not at all. A stopped target sharpened to p^{1/τ} is 0 at τ = 1,
    and Pseudo-Label as τ falls to 0.
3.  FixMatch with T = T' = identity, certainty 0 and the same γ(t) is Pseudo-Label: both views are
    f(x).
4.  Mean Teacher with decay 0 is consistency to the stopped student: θ' = θ after every update. The
    Π-model with a clean other view has the L_reg of MKE.
5.  Noisy Student with one round and hard labels, without D_l, on both modalities, is MKE at γ = 0:
    L_pl alone.

On both modalities, a method that learns from D_l and D_u together needs a student for whom β may
be missing, since D_l carries α alone. Its labels then say nothing of β, and nothing but T and T'
ties what the student answers without β to what it answers with it: give them a `ModalityDropout`,
or the labels may never reach the samples that have β.
"""

from __future__ import annotations

from mke_theory.method.relatives import (
    entropy_minimisation,
    fixmatch,
    mean_teacher,
    mke,
    noisy_student,
    pi_model,
    pseudo_label,
    uda,
)
from mke_theory.method.relatives.method import (
    STRONG,
    WEAK,
    Method,
    Steps,
    differences,
    learn,
    objective_on,
    samples_of,
    table,
)

__all__ = [
    "STRONG",
    "WEAK",
    "Method",
    "Steps",
    "differences",
    "entropy_minimisation",
    "fixmatch",
    "learn",
    "mean_teacher",
    "methods",
    "mke",
    "noisy_student",
    "objective_on",
    "pi_model",
    "pseudo_label",
    "samples_of",
    "table",
    "uda",
]


def methods(weak: Steps = WEAK, strong: Steps = STRONG) -> tuple[Method, ...]:
    """Every method with these perturbations, MKE first."""
    return (
        mke.method(strong),
        noisy_student.method(strong),
        pseudo_label.method(),
        entropy_minimisation.method(),
        pi_model.method(strong),
        mean_teacher.method(strong),
        uda.method(strong),
        fixmatch.method(weak, strong),
    )
