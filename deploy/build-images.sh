#!/usr/bin/env bash
# Builds the container images of the stack: weir-edge, weir-regional, weir-shield, weir-origin-mock.
#
# usage: deploy/build-images.sh [--tag TAG] [--binaries] [--help]
#
# The binaries are linked statically, the images hold nothing else. Nothing is pulled.
#
#   --tag TAG         tag of the images (default: dev)
#   --binaries        build only the static binaries, and print their folder
#   WEIR_BINARIES     folder of ready-made static binaries; without it cargo builds them
#   CARGO_TARGET_DIR  where cargo builds (default: target)
#   DOCKER_HOST       the daemon to use, as for docker itself
set -euo pipefail
cd "$(dirname "$0")/.."
source deploy/lib.sh

ROLES=(origin-mock shield regional edge)
USER_ID=65532

tag=dev
only_binaries=
while (($#)); do
    case $1 in
        --tag) tag=${2:?--tag needs a value}; shift 2 ;;
        --binaries) only_binaries=yes; shift ;;
        --help | -h) show_help; exit 0 ;;
        *) say "unknown argument: $1 (see --help)"; exit 2 ;;
    esac
done

work=$(mktemp -d)
trap 'rm -rf "$work" "$work.log"' EXIT

# Builds the static binaries and prints their folder.
#
# `--target` is given even for the host's own triple: without it RUSTFLAGS would reach build scripts
# and procedural macros too, and a static procedural macro cannot be loaded.
build_binaries() {
    local host target=${CARGO_TARGET_DIR:-target}
    command -v cargo >/dev/null || die "no cargo: install Rust, or set WEIR_BINARIES=DIR"
    host=$(rustc -vV | sed -n 's/^host: //p')
    [[ $host == *-linux-* ]] || die "images need Linux binaries, and rustc builds for $host"
    say "building static release binaries for $host (minutes the first time)"
    RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" cargo build --release --locked --bins \
        --target "$host" --target-dir "$target" \
        -p weir-origin-mock -p weir-shield -p weir-regional -p weir-edge -p weir-cli </dev/null >&2
    printf '%s\n' "$target/$host/release"
}

# Fails unless $1 is an executable that needs no shared library.
check_static() {
    [[ -x $1 ]] || die "no executable $1"
    local libraries
    libraries=$(ldd "$1" 2>&1 || true)
    case $libraries in
        *"statically linked"* | *"not a dynamic executable"*) ;;
        *) die "$1 is linked dynamically and cannot run in an empty image:
$libraries
build it with RUSTFLAGS='-C target-feature=+crt-static' and --target, or unset WEIR_BINARIES" ;;
    esac
    # ldd says the same of a shell script and of another machine's binary.
    [[ $(head -c 4 "$1" | tail -c 3) == ELF ]] || die "$1 is not a Linux binary"
}

# Writes the root file system of binary $1 to $2 as a tar file.
#
# Equal input gives equal bytes (names sorted, times fixed), so Docker's layer cache holds.
pack_rootfs() {
    local name=${1##*/} root
    root=$(mktemp -d -p "$work")
    mkdir -p "$root/etc/weir" "$root/tmp" "$root/usr/local/bin" "$root/var/lib/weir"
    install -m 755 "$1" "$root/usr/local/bin/$name"
    # The resolver in the binary asks /etc/hosts first, then DNS. There is no /etc/passwd: the user
    # is only a number.
    printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
    find "$root" -mindepth 1 -type d -exec chmod 755 {} +
    chmod 644 "$root/etc/nsswitch.conf"
    chmod 1777 "$root/tmp"
    local tar=(tar --directory "$root" --sort=name --mtime=@0 --format=gnu --numeric-owner)
    "${tar[@]}" --owner=0 --group=0 --no-recursion -cf "$2" etc etc/nsswitch.conf etc/weir \
        usr usr/local usr/local/bin "usr/local/bin/$name" var var/lib
    "${tar[@]}" --owner=$USER_ID --group=$USER_ID -rf "$2" tmp var/lib/weir
    rm -rf "$root"
}

# Builds and tags the image of role $1 from the build context in $work.
build_image() {
    local name=weir-$1
    docker build --target "$1" --tag "$name:$tag" "$work" </dev/null >"$work.log" 2>&1 \
        || { cat "$work.log" >&2; die "docker build of $name failed"; }
    say "built $name:$tag ($(docker image inspect --format '{{.Size}}' "$name:$tag") bytes)"
}

# Fails, with the remedy, unless images can be built.
check_docker() {
    command -v docker >/dev/null || die "no docker command: sudo apt-get install docker.io"
    docker_answers || die "no Docker daemon answers at ${DOCKER_HOST:-unix:///var/run/docker.sock}.
Start one with 'sudo systemctl start docker', or without systemd 'sudo dockerd &',
and check with 'docker info' that you may use it"
}

[[ -n $only_binaries ]] || check_docker
binaries=${WEIR_BINARIES:-}
[[ -n $binaries ]] || binaries=$(build_binaries)
[[ -d $binaries ]] || die "WEIR_BINARIES=$binaries is not a folder"
for role in "${ROLES[@]}"; do
    check_static "$binaries/weir-$role"
done
if [[ -n $only_binaries ]]; then
    realpath "$binaries"
    exit
fi
for role in "${ROLES[@]}"; do
    pack_rootfs "$binaries/weir-$role" "$work/weir-$role.tar"
done
cp deploy/Dockerfile "$work/"
for role in "${ROLES[@]}"; do
    build_image "$role"
done
