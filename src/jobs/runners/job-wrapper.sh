# Runs one job beside hackd, so that a crash of hackd costs neither output nor the exit status.
#
#   sh job-wrapper.sh [--closed] LOG JOURNAL BLOCKS INPUT CAT SETSID MKFIFO SLEEP PROGRAM [ARGUMENT…]
#
# Processes:  this shell ─┬─ left shell ─── the job, which leads a session and process group of its own
#                         ├─ right shell ── cat >>LOG, limited to BLOCKS × 512 bytes by the kernel (setrlimit(2))
#                         └─ sleep <>INPUT, only with a FIFO as input: keeps it open while nobody writes
# JOURNAL gets a line for each thing that happened; hackd reads nothing else. Lines are short and the file already
# owns a disk block, so that a full disk cannot lose them. stat lines are /proc/<pid>/stat (proc(5)).

# hackd's terminals are inherited: while a job holds one, nobody hangs up. Only bash can close what has two digits (10 and
# 255 are where a shell keeps this file open, closed on exec); then it begins again.
close_inherited='for fd in /proc/self/fd/*; do fd=${fd##*/}; if ((fd > 2)); then eval "exec $fd>&-"; fi; done; exec /bin/sh "$0" --closed "$@"'
if [ "$1" = --closed ]; then shift; else
  exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
  for fd in /proc/self/fd/*; do
    case ${fd##*/} in
      ? | 10 | 255) ;;
      *) [ ! -x /bin/bash ] || exec /bin/bash -p -c "$close_inherited" "$0" "$@" ;;
    esac
  done
fi

log=$1 journal=$2 blocks=$3 input=$4 cat=$5 setsid=$6 mkfifo=$7 sleep=$8
shift 8
exec 3>>"$journal"

note() { printf '%s\n' "$*" >&3; }
note_self() { read -r stat </proc/self/stat && note "$1" "$stat"; }

note_self wrapper
if [ "$input" != /dev/null ]; then
  "$mkfifo" -m 600 "$input"
  ( note_self holder; exec "$sleep" 2147483647 <>"$input" 3>&- ) &
  holder=$!
fi

{
  ( note_self job; exec 3>&-; exec "$setsid" -- "$@" ) <"$input" 2>&1
  note exited $?
  [ -z "$holder" ] || kill "$holder" 2>/dev/null
} | {
  ( note_self writer; ulimit -f "$blocks"; exec "$cat" >>"$log" 3>&- )
  note written $?
}
