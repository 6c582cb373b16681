"""The paper's comparison on every task whose data are at hand: six arms, placebos and a rival.

Claim: a multimodal student that learns from its unimodal teacher's labels ends up better than that
teacher; the table says on which tasks, by how much (paired over seeds, 95% interval), and what the
placebos leave of the gain.

    python experiments/run_real.py                        all short tasks, all arms, five seeds
    python experiments/run_real.py --tasks all            NYU Depth V2 and VGGSound too: hours
    python experiments/run_real.py --tasks digits --seeds 10
    python experiments/run_real.py --set digits.labels_per_class=3
    python experiments/run_real.py --tasks digits --teacher-answers answers    a network elsewhere
    torchrun --nproc-per-node=2 experiments/run_real.py --devices 2    two processes, one model

`mke run` is the same job. Hardware: two CPU cores and 2 GiB of memory; about ten minutes with all
data at hand.
"""

from __future__ import annotations

import sys
from functools import partial

from mke_theory.command import run

main = partial(run.main, called="python experiments/run_real.py", description=__doc__)

if __name__ == "__main__":
    sys.exit(main())
