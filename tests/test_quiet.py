"""The import of TensorFlow: what is left out of it, and what the program has afterwards."""

import subprocess
import sys


def test_keras_leaves_packages_alone_that_are_imported_when_they_are_needed():
    code = (
        "import matplotlib, sys\n"
        "from tinytrain.quiet import import_tensorflow; import_tensorflow()\n"
        "print('sklearn' in sys.modules, 'scipy.stats' in sys.modules, 'matplotlib.pyplot' in sys.modules)\n"
        "from sklearn.metrics import recall_score\n"
        "print(recall_score([1, 1], [1, 0]), matplotlib is sys.modules['matplotlib'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["False False True", "0.5 True"]
