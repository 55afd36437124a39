#!/bin/bash
# The commit protocol's model: a short run loses nothing, and every deliberate
# mistake is caught (doc/durability.md has the long run's command).
set -eu
exec "$PYTHON" "$srcdir/tests/model/run.py" --images 20000
