#!/bin/bash
# VNN-COMP: install_tool.sh v1. Once per machine: an environment beside the scripts.
[ "$1" = v1 ] || { echo "expected version v1, got '$1'" >&2; exit 1; }
set -e
cd "$(dirname "$(realpath "$0")")/.."
python3 -m venv .venv || { sudo apt-get update && sudo apt-get install -y python3-venv && python3 -m venv .venv; }
.venv/bin/python -m pip install --quiet --constraint constraints.txt .
.venv/bin/certify --version
