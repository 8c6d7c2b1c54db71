"""What magika's own Python package makes of files: the reference for the worker and for scripts/lib/magika.mjs.

    python tests/python/magika_reference.py [--features] FILE...

Prints one JSON array with an object per file: `label` is the model's top label before the package's thresholds
("undefined" when it does not ask the model), `score` that label's score, and with --features also `features`: the model's
input, or null when the file holds too little for the model.
"""

import argparse
import io
import json
import sys
from pathlib import Path

from magika import Magika
from magika.types.seekable import Seekable


def features(magika: Magika, content: bytes) -> list[int] | None:
    # The package has no public name for this step.
    _, found = magika._get_result_or_features_from_seekable(Seekable(io.BytesIO(content)))
    return None if found is None else [*found.beg, *found.mid, *found.end]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", action="store_true", help="also print the model's input")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    args = parser.parse_args()

    magika = Magika()
    found = []
    for file in args.files:
        content = file.read_bytes()
        result = magika.identify_bytes(content)
        if not result.ok:
            sys.exit(f"{file}: magika says {result.status}")
        entry = {"file": str(file), "label": str(result.prediction.dl.label), "score": result.prediction.score}
        if args.features:
            entry["features"] = features(magika, content)
        found.append(entry)
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    main()
