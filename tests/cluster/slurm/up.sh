#!/usr/bin/env bash
# A real SLURM on this one machine: a controller, accounting and four virtual nodes n1 to n4, each with 4 CPUs, 8000 MB
# and 2 fake GPUs that are believed and not there. No systemd, no cgroups. Needs root and Debian's packages.
#
#   bash up.sh FOLDER [PORT]     everything lies in FOLDER; the ports are PORT to PORT + 14
#   . FOLDER/env.sh              then sbatch and the others speak to it
#
# What runs already is left alone and what is missing or dead is started, so it brings a lost node back too.
set -euo pipefail
mkdir -p "$1"
DIR=$(cd "$1" && pwd -P) PORT=${2:-6817}
NODES=(n1 n2 n3 n4)
die() { echo "$*"; exit 1; }
[ "$(id -u)" = 0 ] || die "SLURM's daemons need root here."
chmod 755 "$DIR"
mkdir -p "$DIR"/{etc,log,run,spool,state,munge,dev}

# ---- packages
installed() { for b in munged slurmctld slurmd sbatch slurmdbd mariadbd mariadb; do command -v $b || return 1; done; }
if ! installed >/dev/null; then
  command -v apt-get >/dev/null || die "SLURM is not installed, and there is no apt-get to install it with."
  quiet=0  # or the packages would start services of their own
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; quiet=1; }
  packages() {
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends \
      munge slurmctld slurmd slurm-client slurmdbd mariadb-server-core mariadb-client-core
  }
  packages >"$DIR/log/apt.log" 2>&1 || { apt-get update && packages; } >>"$DIR/log/apt.log" 2>&1 || true
  [ $quiet = 0 ] || rm -f /usr/sbin/policy-rc.d
  installed >/dev/null || die "SLURM's packages cannot be installed: $(tail -n 1 "$DIR/log/apt.log")"
fi

# ---- configuration
HOST=$(hostname -s)
getent hosts "$HOST" >/dev/null || echo "127.0.0.1 $HOST" >>/etc/hosts
if [ ! -s "$DIR/etc/slurm.conf" ]; then
  cat >"$DIR/etc/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$PORT
# away from the ports on which the processes of a run meet (20000 to 60000)
SrunPortRange=61001-63000
# after that many seconds a requeued job may start again (120 unless told)
AuthInfo=socket=$DIR/munge/munge.socket,cred_expire=5
StateSaveLocation=$DIR/state
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdPidFile=$DIR/run/slurmd.%n.pid
SlurmdLogFile=$DIR/log/slurmd.%n.log
SlurmdSpoolDir=$DIR/spool/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
MpiDefault=none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
# from SIGTERM to SIGKILL, and until a silent node is given up (30 and 300 unless told)
KillWait=3
SlurmdTimeout=15
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((PORT + 1))
AccountingStoragePass=$DIR/munge/munge.socket
GresTypes=gpu
$(for i in 1 2 3 4; do
  echo "NodeName=n$i NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + 10 + i)) CPUs=4 RealMemory=8000 Gres=gpu:2"
done)
PartitionName=main Nodes=n[1-4] Default=YES DefaultTime=10 MaxTime=INFINITE PriorityTier=1 GraceTime=20
PartitionName=high Nodes=n[1-4] DefaultTime=10 MaxTime=60 PriorityTier=10 PreemptMode=OFF
CONF
  for gpu in 0 1; do mknod -m 666 "$DIR/dev/gpu$gpu" c 1 3; done
  echo "NodeName=n[1-4] Name=gpu File=$DIR/dev/gpu[0-1] AutoDetect=off" >"$DIR/etc/gres.conf"
  (umask 077; cat >"$DIR/etc/slurmdbd.conf" <<CONF
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$((PORT + 1))
SlurmUser=root
AuthInfo=socket=$DIR/munge/munge.socket
PidFile=$DIR/run/slurmdbd.pid
LogFile=$DIR/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((PORT + 2))
StorageUser=slurm
StoragePass=$(head -c 18 /dev/urandom | base64 | tr -d '/+=')
CONF
  )
  printf 'export SLURM_CONF=%q\n' "$DIR/etc/slurm.conf" >"$DIR/env.sh"
fi
# the processes of a run meet at the name of its first node
grep -qF "# slurm:$DIR" /etc/hosts || echo "127.0.0.1 ${NODES[*]} # slurm:$DIR" >>/etc/hosts
export SLURM_CONF=$DIR/etc/slurm.conf

# ---- daemons
alive() {  # PIDFILE NAME
  local pid; pid=$(cat "$1" 2>/dev/null) && grep -q "^$2" "/proc/$pid/comm" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$pid/status"
}
wait_for() {  # SECONDS NAME COMMAND...
  local tries=$(($1 * 20)) name=$2; shift 2
  for _ in $(seq $tries); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
  die "$name did not start; its log is in $DIR/log."
}
of_database() { sed -n "s/^$1=//p" "$DIR/etc/slurmdbd.conf"; }

if ! alive "$DIR/run/munged.pid" munged; then
  [ -s "$DIR/munge/key" ] || (umask 077; head -c 128 /dev/urandom >"$DIR/munge/key")
  rm -f "$DIR/munge/munge.socket"*
  munged --force --key-file="$DIR/munge/key" --socket="$DIR/munge/munge.socket" --pid-file="$DIR/run/munged.pid" \
    --log-file="$DIR/log/munged.log" --seed-file="$DIR/munge/seed" >"$DIR/log/munged.out" 2>&1 || die "$(cat "$DIR/log/munged.out")"
  wait_for 5 munged test -S "$DIR/munge/munge.socket"
fi
if ! alive "$DIR/run/mariadb.pid" mariadbd; then
  sql() { mariadb --no-defaults -u root -S "$DIR/run/mysql.sock" -e "$1"; }
  [ -d "$DIR/mysql/mysql" ] || mariadb-install-db --no-defaults --user=root --datadir="$DIR/mysql" --skip-test-db \
    --auth-root-authentication-method=socket --innodb-log-file-size=32M >"$DIR/log/mariadb.log" 2>&1
  setsid mariadbd --no-defaults --user=root --datadir="$DIR/mysql" --socket="$DIR/run/mysql.sock" \
    --pid-file="$DIR/run/mariadb.pid" --bind-address=127.0.0.1 --port="$(of_database StoragePort)" --skip-name-resolve \
    --innodb-log-file-size=32M --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0 --skip-log-bin \
    --performance-schema=OFF >>"$DIR/log/mariadb.log" 2>&1 </dev/null &
  wait_for 60 mariadb sql 'select 1'
  sql "CREATE DATABASE IF NOT EXISTS slurm_acct_db;
       CREATE OR REPLACE USER slurm@'127.0.0.1' IDENTIFIED BY '$(of_database StoragePass)';
       GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';"
fi
if ! alive "$DIR/run/slurmdbd.pid" slurmdbd; then
  slurmdbd >"$DIR/log/slurmdbd.out" 2>&1 </dev/null
  wait_for 60 slurmdbd sacctmgr -n list cluster
  sacctmgr -n -P list cluster format=cluster | grep -qx test || sacctmgr -i add cluster test >"$DIR/log/sacctmgr.log" 2>&1
fi
if ! alive "$DIR/run/slurmctld.pid" slurmctld; then
  slurmctld >"$DIR/log/slurmctld.out" 2>&1 </dev/null || die "$(tail -n 1 "$DIR/log/slurmctld.log")"
  wait_for 20 slurmctld scontrol ping
fi
for n in "${NODES[@]}"; do
  alive "$DIR/run/slurmd.$n.pid" slurmd && continue
  mkdir -p "$DIR/spool/$n"
  slurmd -N "$n" >"$DIR/log/slurmd.$n.out" 2>&1 </dev/null || die "$(tail -n 1 "$DIR/log/slurmd.$n.log")"
done
ready() {
  sinfo -h -N -o '%N %T' | sort -u >"$DIR/run/nodes" && [ -s "$DIR/run/nodes" ] || return 1
  grep -vE ' (idle|mixed|allocated|completing)$' "$DIR/run/nodes" >"$DIR/run/not-ready" || return 0
  while read -r n _; do scontrol update "NodeName=$n" State=RESUME; done <"$DIR/run/not-ready"
  return 1
}
wait_for 60 "a node" ready
