#!/usr/bin/env bash
# From the inputs of the action, in the environment, to one call of certify and the outputs. Names may hold blanks.
set -uo pipefail
mkdir -p "$REPORTS" || exit 2
reports="sarif=$REPORTS/certify.sarif,junit=$REPORTS/certify.xml,md=$REPORTS/certify.md,json=$REPORTS/certify.json,github"
if [ -n "$INSTANCES" ]; then
  command=(batch --out "$REPORTS/run")
  files=("$INSTANCES")
else
  command=(check)
  files=()
  if [ -n "$MODEL" ]; then files+=("$MODEL"); fi
  files+=("$SPEC")
  while IFS= read -r network; do
    if [ -n "$network" ]; then command+=(--network "$network"); fi
  done <<< "$NETWORKS"
fi
if [ -n "$TIMEOUT" ]; then command+=(--timeout "$TIMEOUT"); fi
read -ra options <<< "$OPTIONS"
certify "${command[@]}" --fail-on "$FAIL_ON" --report "$reports" ${options[@]+"${options[@]}"} -- "${files[@]}"
code=$?
{
  echo "exit-code=$code"
  echo "sarif=$REPORTS/certify.sarif"
  echo "junit=$REPORTS/certify.xml"
} >> "$GITHUB_OUTPUT"
exit "$code"
