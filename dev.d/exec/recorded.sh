#!/usr/bin/env bash
# recorded.sh RECORD COMMAND…   Writes down which process we are, then becomes COMMAND: the record exists before the daemon does,
# so a run that is killed in between leaves nothing that the next run could not find.
# /proc/self is read through the /proc that is mounted: inside a new pid namespace that is still the outer one, and so is the pid.
set -euo pipefail
record=$1
shift
read -r boot </proc/sys/kernel/random/boot_id
read -r stat </proc/self/stat
read -ra fields <<<"${stat##*) }"
printf '%s %s %s\n' "$boot" "${stat%% *}" "${fields[19]}" >"$record.new"
mv -f "$record.new" "$record"
exec "$@"
