#!/bin/sh
# bltfs-metrics.sh - the metrics of all mounts of bltfs, for Prometheus.
#
#   bltfs-metrics.sh [DIRECTORY]
#
# Writes DIRECTORY/bltfs-N.prom for each mount of this user, N being its device
# number, and removes those of mounts that are gone.  DIRECTORY is the one that
# the node exporter's option --collector.textfile.directory names.  To run it
# every minute, as the user who mounts, a line for crontab(5):
#
#   * * * * * /usr/share/doc/bltfs/examples/bltfs-metrics.sh
set -eu

dir=${1:-/var/lib/prometheus/node-exporter}
seen=

while read -r _ _ device _ point _; do
	point=$(printf '%b' "$(printf '%s' "$point" | sed 's/\\\([0-7]*\)/\\0\1/g')")
	file=$dir/bltfs-${device#*:}.prom
	# whole or not at all: the collector may read at any moment
	if cat "$point/.bltfs/metrics" >"$file.$$" 2>/dev/null; then
		mv "$file.$$" "$file"
		seen="$seen $file"
	else
		rm -f "$file.$$"
	fi
done <<END
$(grep ' - fuse\.bltfs ' /proc/self/mountinfo)
END

for file in "$dir"/bltfs-*.prom; do
	case "$seen " in
	*" $file "*) ;;
	*) rm -f "$file" ;;
	esac
done
