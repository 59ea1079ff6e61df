#!/usr/bin/env bash
# From a fresh clone to a running demo: gets the toolchain, builds everything (native, WASI, web), serves the page.
#   ./demo/start.sh [--port 8080] [--no-isolation]      (--no-isolation: without COOP/COEP headers, as on most hosts)
set -e
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case " $* " in *" --help "*) exec sed -n '2,3s/^# //p' "$0" ;; esac
. ./emsdk_env.sh
echo 'building native, WASI and web (a few minutes the first time)'
cmake --preset native >/dev/null
cmake --build --preset native --target everything
npm ci --prefix web --ignore-scripts --no-audit --no-fund --loglevel=error
node web/build.mjs
exec node demo/serve.mjs "$@"
