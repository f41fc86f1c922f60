#!/usr/bin/env bash
# Stops what up.sh started in FOLDER, by pid files and never by name, with the processes of its jobs, and removes FOLDER.
#
#   bash down.sh FOLDER
set -uo pipefail
[ -d "$1/spool" ] || exit 0
DIR=$(cd "$1" && pwd -P)
export SLURM_CONF=$DIR/etc/slurm.conf
stop() {  # PIDFILE NAME SECONDS: SIGTERM, then SIGKILL
  local pid; pid=$(cat "$1" 2>/dev/null) && grep -q "^$2" "/proc/$pid/comm" 2>/dev/null || return 0
  kill -TERM "$pid"
  for _ in $(seq $(($3 * 20))); do
    [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null || return 0
    sleep 0.05
  done
  kill -KILL "$pid" 2>/dev/null
}
stop "$DIR/run/slurmctld.pid" slurmctld 15
for file in "$DIR"/run/slurmd.*.pid; do stop "$file" slurmd 5; done
for entry in /proc/[0-9]*; do  # what is left of jobs: slurmd's environment with SLURM_CONF went on to them
  variables=$({ tr '\0' '\n' <"$entry/environ"; } 2>/dev/null) || continue
  grep -qxF "SLURM_CONF=$SLURM_CONF" <<<"$variables" || continue
  case $({ cat "$entry/comm"; } 2>/dev/null) in
    slurmstepd*) ;;
    *) grep -q '^SLURMD_NODENAME=' <<<"$variables" || continue ;;
  esac
  kill -KILL "${entry#/proc/}" 2>/dev/null
done
stop "$DIR/run/slurmdbd.pid" slurmdbd 10
stop "$DIR/run/mariadb.pid" mariadbd 20
stop "$DIR/run/munged.pid" munged 5
sed "\|# slurm:$DIR\$|d" /etc/hosts >"$DIR/hosts" && ! cmp -s "$DIR/hosts" /etc/hosts && cat "$DIR/hosts" >/etc/hosts
rm -rf "$DIR"
