"""AudioSet → VGGSound from folders of clips to the table, in one command.

Claim: none, as no clip was at hand. The clips become features of trained encoders, all arms run on
them, and beside each metric stand the least and greatest value that the missing clips allow.

    python experiments/vggsound.py --data-root data
    python experiments/vggsound.py --data-root data --skip-bad --workers 2 --seeds 10
    python experiments/vggsound.py --data-root data --sound ast:FOLDER

Whatever it does not know itself goes to `run_real.py`. Both parts go on where they were stopped.
An encoder that was trained on AudioSet's labels knows more of them than D_l has: say so beside the
number.

Hardware: a CPU core takes about 0.6 s for a film of ten seconds and a quarter for sound alone, some
two hours for all that the lists want without VGGSound's train list; then some minutes a seed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).parent))  # which PYTHONSAFEPATH leaves out
import run_real

from mke_theory.command.calls import interrupted, refused
from mke_theory.data.console import forgiving_console
from mke_theory.data.typed_paths import with_homes
from mke_theory.study.processes import available_cores
from mke_theory.tasks.vggsound.encoders import PICTURE, SOUND, clip_encoders
from mke_theory.tasks.vggsound.prepare import at_hand, prepare


@dataclass(frozen=True)
class Options:
    """Prepare the clips at hand, run the comparison on them, write records, tables and figures."""

    data_root: Path
    """Folder with av_event_metadata, audioset_clips and vggsound_clips."""
    out: Path = Path("results/vggsound")
    """Folder for records, tables and figures."""
    skip_bad: bool = False
    """Leave out clips that cannot be read, and say so."""
    workers: int | None = None
    """Processes that read clips, and runs at the same time. Default: one a core."""
    sound: str = SOUND
    """The encoder of sounds; also ast:WEIGHTS (a folder or a name on the hub) or FILE.onnx."""
    picture: str = PICTURE
    """That of pictures; also resnet:WEIGHTS, convnext:WEIGHTS, FILE.onnx or FILE.pt2."""


@forgiving_console()
def main(argv: Sequence[str] | None = None) -> int:
    """0 where every run ended well, 1 where some failed, 2 for a bad call, 130 after Ctrl-C."""
    options, rest = tyro.cli(Options, args=argv, description=__doc__, return_unknown_args=True)
    workers = available_cores() if options.workers is None else options.workers
    skip_bad = options.skip_bad
    try:
        options = with_homes(options)
        at_hand(options.data_root)  # so that a wrong folder is named before missing weights are
        encoders = clip_encoders(options.sound, options.picture)
        lines = prepare(options.data_root, encoders, skip_bad=skip_bad, workers=workers)
    except KeyboardInterrupt:
        return interrupted()
    except (ImportError, OSError, ValueError) as problem:
        return refused(problem)
    print(*lines, sep="\n")
    given = ["--tasks", "vggsound", "--data-root", str(options.data_root)]
    given += ["--out", str(options.out), "--workers", str(workers)]
    return run_real.main([*given, *(["--skip-bad"] if skip_bad else []), *rest])


if __name__ == "__main__":
    sys.exit(main())
