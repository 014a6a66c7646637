#!/bin/sh
# Installs from Debian's packages what a clone needs and does not find: setup.sh run | test
#
# Nothing is touched that is already there. A broker or a database that comes in with a package is not
# left running: EnMS starts private ones of its own.
set -eu

purpose=${1:-run}
python=${PYTHON:-python3}
PATH=$PATH:/usr/sbin:/sbin

fail() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

case $purpose in
run | test) ;;
*) fail "say what for: setup.sh run, or setup.sh test" ;;
esac

command -v "$python" >/dev/null 2>&1 ||
    fail "there is no $python. Install Python 3.11 or newer (Debian: apt-get install python3), or name one: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $("$python" -V 2>&1), and Python 3.11 or newer is needed. Name another one: make PYTHON=/path/to/python3.11"

have_file() { # have_file PATH…: whether one of them exists, as a pattern expands
    for path in "$@"; do
        [ -e "$path" ] && return 0
    done
    return 1
}

have_broker() {
    command -v mosquitto >/dev/null 2>&1 &&
        have_file /usr/lib/*/mosquitto_dynamic_security.so /usr/lib/mosquitto_dynamic_security.so \
            /usr/lib/*/mosquitto/mosquitto_dynamic_security.so /usr/local/lib/mosquitto_dynamic_security.so
}

have_database() { # PostgreSQL 15 or newer, on the PATH or where Debian keeps it
    for server in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$server" ] || continue
        version=$("$server" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
        [ "$version" -ge 15 ] && return 0
    done
    return 1
}

missing=
need() { missing="$missing $*"; }

"$python" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
have_broker || need mosquitto
have_database || need postgresql
if [ "$purpose" = test ]; then
    command -v mosquitto_sub >/dev/null 2>&1 || need mosquitto-clients
    command -v chromium >/dev/null 2>&1 || need chromium fonts-liberation
fi
missing=${missing# }
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends $missing"
command -v apt-get >/dev/null 2>&1 ||
    fail "missing here, by the names of Debian's packages: $missing. Install them (Mosquitto 2.0.11 or newer with its dynamic-security plugin, PostgreSQL 15 or newer), then run this again."
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    fail "missing: $missing. Run this as root, then make again:
    apt-get update && $install"
fi

had_mosquitto=$(command -v mosquitto || true)
policy=/usr/sbin/policy-rc.d
cluster_settings=/etc/postgresql-common/createcluster.conf
made_policy=no
kept_cluster_settings=

restore() {
    [ "$made_policy" = no ] || $as_root rm -f "$policy"
    [ -z "$kept_cluster_settings" ] || $as_root mv -f "$kept_cluster_settings" "$cluster_settings"
}
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

printf 'setup: installing %s\n' "$missing"
if ! [ -e "$policy" ]; then # 101 tells Debian's scripts to start nothing
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi
apt update
case " $missing " in
*" postgresql "*)
    apt install -y --no-install-recommends postgresql-common
    kept_cluster_settings=$cluster_settings.kept-by-setup
    $as_root cp -p "$cluster_settings" "$kept_cluster_settings"
    printf 'create_main_cluster = false\n' | $as_root tee -a "$cluster_settings" >/dev/null
    ;;
esac
# The names are words on purpose: one argument each.
# shellcheck disable=SC2086
apt install -y --no-install-recommends $missing
if [ -z "$had_mosquitto" ] && [ -d /run/systemd/system ] && command -v mosquitto >/dev/null 2>&1; then
    $as_root systemctl disable --now mosquitto
fi

"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make virtual environments (it lacks ensurepip); install its venv package"
have_broker || fail "the mosquitto package brought no dynamic-security plugin; Mosquitto 2.0.11 or newer has one"
have_database || fail "the postgresql package of this system is older than 15; install PostgreSQL 15 or newer, then run this again"
