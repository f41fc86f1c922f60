#!/usr/bin/env bash
# A virtual node loses its power: SIGKILL to its slurmd and to every process of its jobs, at once.
# up.sh brings it back.
#
#   bash node-kill.sh FOLDER NODE
set -u
DIR=$(cd "$1" && pwd -P) NODE=$2
variables() { { tr '\0' '\n' <"/proc/$1/environ"; } 2>/dev/null; }
serves() {  # PID: whether a slurmstepd serves this node, which only its socket in the node's folder says
  local inode
  for inode in $(ls -l "/proc/$1/fd" 2>/dev/null | sed -n 's/.*socket:\[\([0-9]*\)\].*/\1/p'); do
    awk -v i="$inode" -v s="$DIR/spool/$NODE/" '$7 == i && index($8, s) == 1 {f = 1} END {exit !f}' /proc/net/unix && return
  done
  return 1
}
victims=("$(cat "$DIR/run/slurmd.$NODE.pid")")
for entry in /proc/[0-9]*; do
  pid=${entry#/proc/}
  variables "$pid" | grep -qxF "SLURM_CONF=$DIR/etc/slurm.conf" || continue
  case $(cat "$entry/comm" 2>/dev/null) in
    slurmstepd*) serves "$pid" && victims+=("$pid") ;;
    *) variables "$pid" | grep -qx "SLURMD_NODENAME=$NODE" && victims+=("$pid") ;;
  esac
done
kill -KILL "${victims[@]}"
rm -f "$DIR/run/slurmd.$NODE.pid"
