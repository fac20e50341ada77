# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by the runners. A stage is a command with a name: it is run, timed,
# logged and its failure remembered; the next stage runs all the same.
# stages_end prints one line per stage, then every CUnit summary once more, so
# that they are the last thing on the screen, and returns 1 if anything failed.
set -u

stages_dir=${B:-build/release}/logs
stages_table=
stages_running=
stages_failed=0
mkdir -p "$stages_dir"
stages_logs=()

# stage NAME COMMAND...; STAGE_SECONDS=N stops it after N seconds (a failure).
# 77 is "skipped"; the last line of the output says why.
stage()
{
	local name=$1 log began rc verdict out tee
	shift
	log=$stages_dir/${name// /-}.log
	began=$SECONDS
	printf '\n==== %s: %s\n' "$name" "$*"
	exec {out}> >(trap '' INT; exec tee "$log")
	tee=$!
	# A process group of its own, so that all of it can be stopped.
	set -m
	timeout -k 10 "${STAGE_SECONDS:-7200}" "$@" </dev/null >&"$out" 2>&1 &
	stages_running=$!
	set +m
	wait "$stages_running"
	rc=$?
	stages_running=
	exec {out}>&-
	wait "$tee"
	stages_logs+=("$log")
	case $rc in
	0) verdict=ok ;;
	77) verdict="skipped: $(tail -n 1 "$log")" ;;
	124 | 137) verdict="FAILED: not done after $((SECONDS - began)) s" ;;
	*) verdict="FAILED: status $rc, see $log" ;;
	esac
	case $verdict in FAILED*) stages_failed=$((stages_failed + 1)) ;; esac
	stages_table+=$(printf '  %-18s %5d s  %s' "$name" \
		$((SECONDS - began)) "$verdict")$'\n'
	return 0
}

stages_stop()
{
	[ -z "$stages_running" ] || kill -TERM -- "-$stages_running" 2>/dev/null
	exit 130
}
trap stages_stop INT TERM

stages_end()
{
	local log
	for log in "${stages_logs[@]}"; do
		grep -q '^Run Summary:' "$log" || continue
		printf '\n%s\n' "$(basename "$log" .log)"
		sed -n '/^Run Summary:/,/^Elapsed time/p' "$log"
	done > "$stages_dir/cunit"
	printf '\n==== %s, %d s in all\n%s' "$1" "$SECONDS" "$stages_table"
	if [ "$stages_failed" = 0 ]; then
		echo "  everything passed"
	else
		echo "  $stages_failed FAILED"
	fi
	cat "$stages_dir/cunit"
	[ "$stages_failed" = 0 ]
}
