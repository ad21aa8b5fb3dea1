#!/usr/bin/env bash
# daemon.sh RECORD LOG COMMAND…   Starts COMMAND in the background, holding nothing of the caller's: no terminal, no pipe, no lock.
# Background jobs of a script are born ignoring SIGINT and would hand that down to every container: hence --default-signal.
set -euo pipefail
record=$1 log=$2
shift 2
setsid env --default-signal bash "${BASH_SOURCE[0]%/*}/recorded.sh" "$record" "$@" </dev/null >>"$log" 2>&1 9>&- &
