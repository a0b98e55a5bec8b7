# Minimal Debian systems, for scripts of this directory, which read this file. Needs root
# on a Debian. Base systems are kept below the cache directory of the user, for a month.
# $suite is the release, $me the script's name for messages.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/trusted-store-minimal
base=$cache/$suite-$(dpkg --print-architecture).tar
say() { echo "$me: $*"; }

[ "$(id -u)" = 0 ] || { say "run it as root: it makes a root directory of its own" >&2; exit 1; }

# One at a time, so that what a killed one left can be removed. Mounts are in a
# namespace of its own, and vanish with it.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
rm -rf --one-file-system "$cache"/tmp.*
work=$(mktemp -d "$cache/tmp.XXXXXX")
running=
cleanup() {
	trap - EXIT INT TERM HUP
	[ -z "$running" ] || { kill -KILL "$running" && wait "$running"; } 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# apart runs a command with mounts and processes of its own, which end with it, and
# so that a signal to this script is not kept waiting.
apart() {
	local status=0
	unshare --mount --pid --fork --kill-child --mount-proc "$@" 9>&- &
	running=$!
	wait "$running" || status=$?
	running=
	return "$status"
}

# mirror is where this machine has Debian from: the first of apt's sources with the
# suite, or else with the machine's own release.
mirror() {
	local own
	own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
		awk -v suite="$suite" -v own="$own" '
			$1 == suite && !first { first = $2 }
			$1 == own && !second { second = $2 }
			END { print first ? first : second }'
}

make_base() {
	local from
	from=$(mirror)
	[ -n "$from" ] || { say "apt's sources name no mirror of Debian $suite" >&2; return 1; }
	.ci/install debootstrap
	say "making a minimal Debian, $suite (debootstrap, some 70 MB to download, a minute)"
	apart env DEBIAN_FRONTEND=noninteractive http_proxy="${http_proxy:-$(proxy)}" \
		debootstrap --variant=minbase --include=git,make,ca-certificates "$suite" "$work/base" "$from" >"$work/log" 2>&1 </dev/null ||
		{ tail -n 20 "$work/log" >&2; return 1; }
	tar -C "$work/base" -cf "$work/base.tar" --exclude='./var/cache/apt/archives/*.deb' .
	mv "$work/base.tar" "$base"
}

proxy() {
	local proxy=
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	echo "$proxy"
}

# use_machine gives the new root this machine's ways to the network.
use_machine() {
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
	cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
	apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries)' | grep -v Auto-Detect >"$root/etc/apt/apt.conf.d/50machine" || true
}

find "$base" -mtime +30 -delete 2>/dev/null || true
[ -f "$base" ] || make_base
root=$work/root
mkdir "$root"
tar -C "$root" -xf "$base"
use_machine
