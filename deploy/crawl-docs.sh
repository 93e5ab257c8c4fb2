#!/usr/bin/env bash
# Puts a real site behind `weir up`, crawls it three times, and checks every byte and every request
# that reached the origin.
#
# usage: deploy/crawl-docs.sh [--limit N] [--port P] [--threads N] [--help] [DIR]
#
#   DIR          folder to serve (default: target/doc, made by cargo doc if missing)
#   --limit N    only the first N files
#   --port P     first port of the nodes (default: 18080; each takes the ports that `weir up` says)
#   --threads N  connections of the crawler (default: 8)
#   WEIR         the weir binary (default: target/release/weir)
#
# The origin is Debian's nginx (installed if missing, as root). The crawls go through edge 0, edge 1
# and edge 0 again: bodies must be equal to the files, the origin must see each URL once, and the
# third crawl must be all hits.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source "$here/lib.sh"

START_SECONDS=60

limit=() threads=8 port=18080 root=
while (($#)); do
    case $1 in
        --limit) limit=(--limit "${2:?--limit needs a number}"); shift 2 ;;
        --port) port=${2:?--port needs a number}; shift 2 ;;
        --threads) threads=${2:?--threads needs a number}; shift 2 ;;
        --help | -h) show_help; exit 0 ;;
        -*) say "unknown argument: $1 (see --help)"; exit 2 ;;
        *) root=$1; shift ;;
    esac
done

target=${CARGO_TARGET_DIR:-${here%/*}/target}
weir=${WEIR:-$target/release/weir}
[[ -x $weir ]] || die "no $weir: build it with 'cargo build --release -p weir-cli', or set WEIR=FILE"
if [[ -z $root ]]; then
    root=$target/doc
    if [[ ! -d $root ]]; then
        say "building the documentation"
        (cd "${here%/*}" && cargo doc --workspace --no-deps --quiet </dev/null)
    fi
fi
[[ -d $root ]] || die "$root is not a folder"
root=$(realpath "$root")

work=$(mktemp -d)
nginx=
stack=

# Stops the processes that this script started, and shows their logs if it failed.
clean_up() {
    local code=$? child
    trap - EXIT
    set +e
    let_services_start
    for child in $stack $nginx; do
        kill "$child" 2>/dev/null
        wait "$child" 2>/dev/null
    done
    if ((code)); then
        tail -n 30 "$work"/weir.log "$work"/nginx.log >&2 2>/dev/null
    fi
    rm -rf "$work"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Prints the value at the keys $2... of the JSON text $1.
json() {
    python3 -c '
import json, sys
value = json.loads(sys.argv[1])
for key in sys.argv[2:]:
    value = value[int(key)] if isinstance(value, list) else value.get(key, 0)
print(value)' "$@"
}

# Starts nginx on $origin_port; everything that it writes is in the temporary folder.
start_origin() {
    command -v nginx >/dev/null || PATH=$PATH:/usr/sbin
    command -v nginx >/dev/null || install_packages nginx
    command -v curl >/dev/null || install_packages curl
    mkdir "$work/tmp"
    cat >"$work/nginx.conf" <<EOF
daemon off;
# Workers of the same user as this script: the folder may be readable to nobody else.
user $(id -un) $(id -gn);
worker_processes 1;
pid $work/nginx.pid;
error_log $work/nginx.log;
events {}
http {
    include /etc/nginx/mime.types;
    log_format uri '\$request_uri';
    access_log $work/access.log uri;
    client_body_temp_path $work/tmp/body;
    proxy_temp_path $work/tmp/proxy;
    fastcgi_temp_path $work/tmp/fastcgi;
    uwsgi_temp_path $work/tmp/uwsgi;
    scgi_temp_path $work/tmp/scgi;
    server {
        listen 127.0.0.1:$origin_port;
        root "$root";
        expires 1h;
    }
}
EOF
    nginx -e "$work/nginx.log" -c "$work/nginx.conf" </dev/null >>"$work/nginx.log" 2>&1 &
    nginx=$!
    wait_for "$START_SECONDS" curl --silent --noproxy '*' "http://127.0.0.1:$origin_port/" \
        || die "nginx does not start"
}

# Starts the stack and leaves its one line of JSON in $addresses.
start_stack() {
    "$weir" up --origin "http://127.0.0.1:$origin_port" --edges 2 --regionals 2 --port "$port" \
        --data-dir "$work/data" --json </dev/null >"$work/addresses" 2>"$work/weir.log" &
    stack=$!
    stack_settled() { [[ -s $work/addresses ]] || ! kill -0 "$stack" 2>/dev/null; }
    wait_for "$START_SECONDS" stack_settled && [[ -s $work/addresses ]] || die "weir up does not start"
    addresses=$(head -n 1 "$work/addresses")
}

# Crawls through edge $1 and leaves the crawler's line of JSON in $result.
crawl() {
    local base failed=
    base=$(json "$addresses" edges "$1" data)
    result=$(python3 "$here/crawl.py" --root "$root" --base "$base" --threads "$threads" "${limit[@]}") \
        || failed=yes
    say "edge $1: $result"
    [[ -z $failed ]] || die "the crawl through edge $1 failed"
}

# Fails unless the origin's access log has each URL of the crawl once; leaves their number in $urls.
#
# Requests for other URLs (health checks, this script's own) are counted apart.
check_origin() {
    python3 "$here/crawl.py" --root "$root" --list "${limit[@]}" | LC_ALL=C sort >"$work/expected"
    urls=$(wc -l <"$work/expected")
    # nginx writes a line after the last byte of a response has left. The first line is this script's.
    all_logged() { (($(wc -l <"$work/access.log") > urls)); }
    wait_for 5 all_logged || true
    LC_ALL=C sort "$work/access.log" >"$work/seen"
    LC_ALL=C join "$work/seen" "$work/expected" >"$work/asked" || true
    local others
    others=$(LC_ALL=C join -v 1 "$work/seen" "$work/expected" | wc -l)
    say "origin: $(wc -l <"$work/asked") requests for $urls URLs, $others for others"
    cmp -s "$work/asked" "$work/expected" && return
    uniq -cd "$work/asked" | sed -n 1,20p >&2
    die "the origin was not asked exactly once for each URL"
}

origin_port=$(free_port)
start_origin
start_stack
say "$root at http://127.0.0.1:$origin_port, stack: $addresses"
crawl 0
bytes=$(json "$result" bytes)
crawl 1
check_origin
crawl 0
[[ $(json "$result" x_cache HIT) == "$urls" ]] || die "the second crawl of edge 0 is not all hits"
check_origin
echo "crawl: $urls URLs, $bytes bytes, 1 origin request each, second crawl all hits, $SECONDS seconds"
