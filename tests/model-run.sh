#!/bin/bash
# The commit protocol's model: a short run loses nothing, and every deliberate
# mistake is caught (doc/durability.md has the long run's command).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$PYTHON" "$here/model/run.py" --images 8000
