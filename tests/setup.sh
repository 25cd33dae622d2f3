#!/usr/bin/env bash
# Installs what the tests need beside Rust: peers that are not ours. Safe to run again; it does
# nothing where all is there. Works as root and as a user who may sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

# program:package
needed=(mosquitto:mosquitto socat:socat python3:python3 cc:gcc node:nodejs npm:npm go:golang-go unzip:unzip
  chromium:chromium chromedriver:chromium-driver)
missing=()
for pair in "${needed[@]}"; do
  command -v "${pair%%:*}" >/dev/null || [ -x "/usr/sbin/${pair%%:*}" ] || missing+=("${pair##*:}")
done
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  missing+=(python3-venv)
fi
# Its programs are not in the path.
if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
  missing+=(postgresql)
fi
# The reference implementation of tiled logs: sources, no program.
if [ ! -d /usr/share/gocode/src/golang.org/x/mod/sumdb/tlog ]; then
  missing+=(golang-golang-x-mod-dev)
fi
if [ "${#missing[@]}" -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  echo "setup: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # The tests start their own broker and their own PostgreSQL: the distribution's services are not to start by themselves.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod +x "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

wanted=$(cat tests/peers/requirements.txt tests/peers/witness.txt | sha256sum | cut -c1-16)
if [ "$(cat .venv/.wanted 2>/dev/null || true)" != "$wanted" ]; then
  python3 -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --requirement tests/peers/requirements.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --no-deps --ignore-requires-python --requirement tests/peers/witness.txt
  echo "$wanted" >.venv/.wanted
fi
.venv/bin/python -c 'import aics_witness.feeder, asyncua, joserfc, jsonschema, paho.mqtt.client, proofbundle, pymodbus.server, serial'

# node-opcua goes into a cache that outlives the clone: 200 packages, 80 MB, a quarter of a minute. It is the
# newest that runs on the distribution's node. Nothing of it runs while it is installed.
node_opcua=2.140.0
node_root="${XDG_CACHE_HOME:-$HOME/.cache}/lineside/node-opcua-$node_opcua"
if ! [ -e "$node_root/done" ]; then
  mkdir -p "$node_root"
  (cd "$node_root" && echo '{"private":true}' >package.json &&
    timeout 170 npm install --ignore-scripts --no-audit --no-fund --loglevel=error \
      "node-opcua-server@$node_opcua" >/dev/null)
  touch "$node_root/done"
fi
ln -sfn "$node_root/node_modules" .venv/node_modules
