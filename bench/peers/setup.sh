#!/usr/bin/env bash
# Installs the peers into a Python environment of their own, at $SEXTANT_PEERS. Runs again only when the pins change.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${SEXTANT_PEERS:-$HOME/.cache/sextant-peers}
pins=$(cat "$here"/requirements-*.txt)

if [ "$(cat "$dir/pins.txt" 2>/dev/null)" != "$pins" ]; then
  rm -f "$dir/pins.txt"
  "${PYTHON:-python3}" -m venv "$dir"
  "$dir/bin/pip" install --quiet --requirement "$here/requirements-peers.txt" --constraint "$here/requirements-lock.txt"
  "$dir/bin/pip" check
  printf '%s\n' "$pins" > "$dir/pins.txt"
fi
echo "$dir/bin/python"
