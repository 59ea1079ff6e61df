#!/usr/bin/env bash
# All tests: installs what is missing, builds native, WASI and web, runs everything, and ends with a line of its own:
# "N passed, N failed" (the status is 0 only when nothing failed). See tests/README.md; options are those of run.mjs:
#   ./tests/run.sh --only golden      only tests whose name (group/program) matches, after only the builds they need
#   ./tests/run.sh --no-build         what is built already
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
. ./emsdk_env.sh || { echo '0 passed, 1 failed'; exit 1; }
exec node tests/run.mjs "$@"
