# Helpers that the scripts of this folder share: messages, waiting, packages, Docker.
#
# Sourced, never run. Needs bash with `set -euo pipefail`. Nothing here reads standard input.
# Messages go to standard error; standard output belongs to the results of each script.

# Prints one progress message.
say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Prints a message that says what to do, and ends the script with exit code 1.
die() {
    say "error: $*"
    exit 1
}

# Prints the comment block at the top of the calling script, which is its help text.
show_help() {
    # The script may have left the folder that $0 is relative to.
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "${BASH_SOURCE[0]%/*}/${0##*/}"
}

# Runs "$@" until it succeeds, at most $1 seconds, five times a second. Fails when time is up.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# Removes what keep_services_down put there, so that a failed installation leaves no trace either.
POLICY=/usr/sbin/policy-rc.d
OWN_POLICY=
let_services_start() {
    [[ -z $OWN_POLICY ]] || rm -f "$POLICY"
    OWN_POLICY=
}

# Installs Debian packages, without letting their maintainer scripts start services.
install_packages() {
    ((EUID == 0)) || die "missing: $*. Install with: sudo apt-get install $*"
    command -v apt-get >/dev/null || die "missing: $*. Install these packages and try again"
    say "installing $*"
    if [[ ! -e $POLICY ]]; then
        OWN_POLICY=yes
        printf '#!/bin/sh\nexit 101\n' >"$POLICY"
        chmod +x "$POLICY"
    fi
    local log failed=
    log=$(mktemp)
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y "$@"; } \
        </dev/null >"$log" 2>&1 || failed=yes
    let_services_start
    [[ -z $failed ]] || { tail -n 20 "$log" >&2; rm -f "$log"; die "apt-get cannot install $*"; }
    rm -f "$log"
}

# Succeeds when a Docker daemon answers.
docker_answers() {
    docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# Runs Compose, whichever generation is installed.
compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose "$@"
    else
        docker-compose "$@"
    fi
}
