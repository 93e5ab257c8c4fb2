#!/usr/bin/env bash
# Runs the Compose stack for real: builds the images, starts all seven containers, stops a regional
# under traffic, and checks what clients and the origin saw.
#
# usage: deploy/ci-compose.sh [--requests N] [--help]
#
#   --requests N   requests of the steady loop, at least (default: 300)
#   WEIR_BINARIES  folder of ready-made static binaries, as for build-images.sh
#
# The stack is called weir-ci and uses the ports in compose.yml. With a Docker daemon that answers,
# only the images stay behind. Without one the script, as root, installs Docker where it is missing
# (apt-get) and starts a daemon of its own: its data in a temporary folder, and in a network
# namespace, so that its firewall rules, bridges and ports touch nothing else and end with it.
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/lib.sh

HEALTHY_SECONDS=120
DAEMON_SECONDS=60
LOOP_SECONDS=300
EDGES=(8080 8081 8082)
ORIGIN=http://127.0.0.1:8380
CONTAINERS=7

requests=300
while (($#)); do
    case $1 in
        --requests) requests=${2:?--requests needs a number}; shift 2 ;;
        --help | -h) show_help; exit 0 ;;
        *) say "unknown argument: $1 (see --help)"; exit 2 ;;
    esac
done
[[ $requests =~ ^[1-9][0-9]*$ ]] || { say "--requests needs a number above 0, not '$requests'"; exit 2; }
third=$(((requests + 2) / 3))

# Installs what is missing.
ensure_tools() {
    local missing=()
    docker_answers || command -v dockerd >/dev/null || missing+=(docker.io)
    docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null \
        || missing+=(docker-compose)
    command -v curl >/dev/null || missing+=(curl)
    command -v python3 >/dev/null || missing+=(python3)
    command -v ip >/dev/null || missing+=(iproute2)
    trap let_services_start EXIT
    ((${#missing[@]} == 0)) || install_packages "${missing[@]}"
}

# Runs this script again in a network namespace of its own, where it will start a daemon. The
# binaries are built before, since cargo may have to ask its registry for a crate.
enter_namespace() {
    ((EUID == 0)) || die "no Docker daemon answers, and only root can start one"
    say "no Docker daemon answers: starting one for this run"
    WEIR_BINARIES=$(deploy/build-images.sh --binaries)
    export WEIR_BINARIES WEIR_CI_NAMESPACE=yes
    exec unshare --net "$BASH" deploy/ci-compose.sh --requests "$requests"
}

ensure_tools
[[ -n ${WEIR_CI_NAMESPACE:-} ]] || docker_answers || enter_namespace

work=$(mktemp -d)
daemon=
stack_up=
export WEIR_TIER_SECRET WEIR_ADMIN_TOKEN
WEIR_TIER_SECRET=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
WEIR_ADMIN_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')

stack() {
    compose -p weir-ci -f deploy/compose.yml "$@" </dev/null
}

stop_daemon() {
    [[ -n $daemon ]] || return 0
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
    daemon=
}

clean_up() {
    local code=$?
    trap - EXIT
    set +e
    if ((code)) && [[ -n $stack_up ]]; then
        say "failed; containers and the end of their logs follow"
        stack ps >&2
        stack logs --no-color --tail=100 >&2
    fi
    [[ -z $stack_up ]] || stack down -v --remove-orphans --timeout 5 >"$work/down" 2>&1 \
        || { cat "$work/down" >&2; code=1; }
    stop_daemon
    rm -rf "$work"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Puts the older iptables first in PATH where the kernel does not take rules from the default one.
# dockerd would start all the same, and containers could not reach each other.
choose_iptables() {
    ! iptables --wait -t nat -n -L >/dev/null 2>&1 || return 0
    say "iptables does not work here: using iptables-legacy"
    mkdir "$work/legacy"
    local tool
    for tool in iptables ip6tables; do
        ln -s "$(command -v $tool-legacy || echo /usr/sbin/$tool-legacy)" "$work/legacy/$tool"
    done
    PATH=$work/legacy:$PATH
}

# Starts a daemon that keeps everything in the temporary folder.
#
# It chooses a storage driver that the file system allows (overlay2, else vfs). No bridge of its
# own: the stack has its own network. A session of its own: a Ctrl-C must not end it before the stack
# is down. The namespace has no way out, so names of stopped containers, which Docker asks the host's
# resolver for, time out instead of being unknown at once: the harder case for a node.
start_daemon() {
    mkdir "$work/docker"
    export DOCKER_HOST=unix://$work/docker/socket
    setsid dockerd --host "$DOCKER_HOST" --data-root "$work/docker/data" --bridge none \
        --exec-root "$work/docker/exec" --pidfile "$work/docker/pid" \
        </dev/null >"$work/dockerd.log" 2>&1 &
    daemon=$!
    daemon_settled() { docker_answers || ! kill -0 "$daemon" 2>/dev/null; }
    wait_for "$DAEMON_SECONDS" daemon_settled && docker_answers \
        || { tail -n 20 "$work/dockerd.log" >&2; die "dockerd does not start"; }
}

# Succeeds when every container of the stack, $1 in all, reports itself healthy.
all_healthy() {
    local ids
    ids=$(stack ps -q)
    [[ -n $ids ]] || return 1
    (($(docker inspect --format '{{.State.Health.Status}}' $ids | grep -cx healthy) == $1))
}

start_stack() {
    stack_up=yes
    stack up -d >"$work/up" 2>&1 || { cat "$work/up" >&2; die "the stack does not start"; }
    wait_for "$HEALTHY_SECONDS" all_healthy $CONTAINERS \
        || die "not all $CONTAINERS containers were healthy after $HEALTHY_SECONDS s"
}

# Writes the body of URL $1 to file $2 and prints $3, by default the status (000: no answer).
fetch() {
    local format=${3:-'%{http_code}'}
    curl --silent --noproxy '*' --max-time 15 --output "$2" --write-out "$format" "$1" || true
}

# Fetches path $1 directly and through each edge, and fails unless all answers are the same.
check_edges() {
    local port status
    for port in "${EDGES[@]}"; do
        status=$(fetch "http://127.0.0.1:$port$1" "$work/body")
        [[ $status == 200 ]] || die "edge at port $port answered $status for $1"
        [[ $(fetch "$ORIGIN$1" "$work/direct") == 200 ]] || die "the origin does not answer for $1"
        [[ -s $work/direct ]] || die "the origin's body of $1 is empty, so equal bodies prove nothing"
        cmp -s "$work/body" "$work/direct" || die "edge at port $port altered the body of $1"
    done
}

# Sends the next request of the loop, and appends `number status path seconds` to the journal.
#
# Edges take turns. Of four requests two are for a fresh URL, one is for one of seven that come again
# and again, and one is for a URL of the first third. Without regional-1 another edge asks for that
# one by way of the other regional, so the shield has to hold it.
sent=0
request() {
    ((SECONDS < loop_deadline)) || die "$sent requests took more than $LOOP_SECONDS s"
    local path=/loop/fresh-$sent port=${EDGES[sent % ${#EDGES[@]}]}
    case $((sent % 4)) in
        1) path=/loop/again-$((sent % 7)) ;;
        3) path=/loop/fresh-$((sent % third / 2 * 2)) ;;
    esac
    fetch "http://127.0.0.1:$port$path" "$work/bodies/$sent" "$sent %{http_code} $path %{time_total}\n" \
        >>"$work/journal"
    sent=$((sent + 1))
}

# Runs a third of the requests, stops a regional while it sends another third (and goes on until the
# container is gone), and runs the last third without it.
loop_with_a_regional_stopped() {
    local stop until_gone loop_deadline=$((SECONDS + LOOP_SECONDS))
    mkdir "$work/bodies"
    while ((sent < third)); do request; done
    stack stop regional-1 >"$work/stop" 2>&1 &
    stop=$!
    until_gone=$sent
    while kill -0 "$stop" 2>/dev/null || ((sent < 2 * third)); do
        ((sent < 20 * requests)) || break
        request
    done
    wait "$stop" || { cat "$work/stop" >&2; die "regional-1 does not stop"; }
    all_healthy $((CONTAINERS - 1)) || die "a second container went down with regional-1"
    until_gone=$((sent - until_gone))
    local last=$((sent + third))
    while ((sent < last)); do request; done
    say "slowest requests (number, status, path, seconds):"
    LC_ALL=C sort -k4,4nr "$work/journal" | sed -n 1,3p >&2
    say "$sent requests sent, $until_gone of them while regional-1 stopped, $third after"
}

# Prints how many requests of the journal failed: no 200, or a body that is not the origin's.
count_failures() {
    local number status path seconds failures=0
    while read -r number status path seconds; do
        [[ -e $work/direct${path//\//_} ]] || fetch "$ORIGIN$path" "$work/direct${path//\//_}" >/dev/null
        if [[ $status != 200 ]] || ! cmp -s "$work/bodies/$number" "$work/direct${path//\//_}"; then
            failures=$((failures + 1))
            say "request $number: $status, $(wc -c <"$work/bodies/$number" 2>/dev/null || echo no) bytes, $path, $seconds s"
        fi
    done <"$work/journal"
    echo "$failures"
}

# Fails unless the origin was asked for each URL of the journal exactly once.
check_origin_counts() {
    [[ $(fetch "$ORIGIN/__origin/stats" "$work/stats") == 200 ]] || die "no statistics from the origin"
    python3 - "$work/stats" "$work/journal" <<'PYTHON' || die "the origin was not asked once for each URL"
import json, sys

paths = json.load(open(sys.argv[1]))["paths"]
counts = {url: n for url, n in paths.items() if url.startswith("/loop/")}
asked = {line.split()[2] for line in open(sys.argv[2])}
wrong = {url: counts.get(url, 0) for url in asked | counts.keys() if counts.get(url, 0) != 1}
for url, n in sorted(wrong.items())[:20]:
    print(f"  {url}: {n} requests at the origin", file=sys.stderr)
print(f"  {sum(counts.values())} requests at the origin for {len(asked)} URLs", file=sys.stderr)
sys.exit(bool(wrong))
PYTHON
}

if [[ -n ${WEIR_CI_NAMESPACE:-} ]]; then
    ip link set lo up
    choose_iptables
    start_daemon
fi
deploy/build-images.sh
start_stack
say "$CONTAINERS containers are healthy after $SECONDS s"
check_edges /first
loop_with_a_regional_stopped
# Before anything is fetched from the origin directly for comparison.
check_origin_counts
failures=$(count_failures)
((failures == 0)) || die "$failures of $sent requests failed"
# The regional opens the volume that it left.
stack start regional-1 >"$work/start" 2>&1 || { cat "$work/start" >&2; die "regional-1 does not start"; }
wait_for "$HEALTHY_SECONDS" all_healthy $CONTAINERS || die "regional-1 is not healthy after a restart"
check_edges /last
echo "compose: $sent requests, $failures failures, $SECONDS seconds"
