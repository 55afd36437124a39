#!/bin/bash
# The commit protocol's model: a short run loses nothing, and every deliberate
# mistake is caught (doc/durability.md has the long run's command).  It is the
# same whatever compiled the library, so some need less of it, and no mistakes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
much=(--images 8000)
[[ -z ${TEST_FEW-} && ${SANITIZERS:-no} == no ]] ||
	much=(--images 2000 --no-mutants)
exec "$PYTHON" "$here/model/run.py" "${much[@]}"
