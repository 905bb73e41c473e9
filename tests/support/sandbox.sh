#!/usr/bin/env bash
# A real systemd to test services in: a small Debian as a container of systemd-nspawn, its writes on
# a tmpfs, its network a loopback of its own. tests/support/sandbox.rs drives it. Needs root.
#
#   sandbox.sh make        makes the root once, in the cache, and prints its path
#   sandbox.sh boot ROOT   boots it, says `up PID` (its systemd), and takes all of it away once its
#                          own stdin has ended, as it does when the test ends in any way
#   sandbox.sh in PID COMMAND [ARGUMENT]...    runs a command in it
set -euo pipefail

cache=${CAUSEWAY_TEST_CACHE:-/var/cache/causeway-tests}
# Debian's own services beside which ours runs; nothing of them starts by itself. With dmsetup,
# tests/vm makes disks.
packages=systemd,systemd-sysv,dbus,apache2,php-fpm,curl,procps,iproute2,logrotate,dmsetup
boot_seconds=60
end_tenths=100

main() {
    local what=${1-}
    shift || true
    (( EUID == 0 )) || die "needs root"
    case $what in
        make) make ;;
        boot) boot "$@" ;;
        in) enter "$@" ;;
        *) die "usage: sandbox.sh make | boot ROOT | in PID COMMAND [ARGUMENT]..." ;;
    esac
}

die() {
    echo "sandbox: $*" >&2
    exit 1
}

# The same Debian as this one: the program was linked against its C library.
make() {
    local suite root
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    root=$cache/$suite-$({ echo "$packages"; declare -f prepare; } | sha256sum | cut -c 1-12)
    mkdir -p "$cache"
    exec 9>"$cache/lock"
    flock 9
    if [[ ! -e $root ]]; then
        # In memory: the package manager syncs each file.
        work=$(mktemp -d /dev/shm/causeway-root.XXXXXX)
        trap "rm -rf --one-file-system '$work' '$root.part'" EXIT
        rm -rf --one-file-system "$root.part"
        mkdir "$root.part"
        { declare -f prepare; echo prepare; } >"$work/prepare"
        TMPDIR=$work mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
            --aptopt='APT::Install-Recommends "false"' \
            --customize-hook="chroot \"\$1\" bash -s <'$work/prepare'" "$suite" - |
            tar -x --numeric-owner --xattrs --xattrs-include='*' -p -C "$root.part" >&2
        mv "$root.part" "$root"
    fi
    echo "$root"
}

# Runs in the new root.
prepare() {
    set -e
    # Consoles wait for devices that there are none of; timers only disturb.
    systemctl --quiet mask getty.target console-getty.service \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
        fstrim.timer logrotate.timer phpsessionclean.timer man-db.timer
    systemctl --quiet disable apache2.service "$(basename /lib/systemd/system/php*-fpm.service)"
    echo "ServerName localhost" >/etc/apache2/conf-enabled/name.conf
    echo sandbox >/etc/hostname
    printf '127.0.0.1 localhost sandbox\n::1 localhost\n' >/etc/hosts
    : >/etc/machine-id
    : >/etc/fstab
}

boot() {
    local root=$1 init='' end=$((SECONDS + boot_seconds)) state=''
    command -v systemd-nspawn >/dev/null || die "no systemd-nspawn: apt-get install systemd-container"
    groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
    [[ -n $groups ]] || die "no cgroup2 tree is mounted here"
    group=$groups/causeway-test-$$
    work=$(mktemp -d /tmp/causeway-sandbox.XXXXXX)
    mkdir "$group"
    trap clean EXIT
    # Interrupts are the test's; what ends this is the end of its stdin.
    trap '' INT TERM HUP
    # The mounts are made in a private namespace, and go with its last process.
    unshare --mount --propagation private bash -c "$(declare -f contain); contain \"\$@\"" - \
        "$root" "$work" "$groups" "$group" </dev/null >"$work/console" 2>&1 &
    nspawn=$!
    while (( SECONDS < end )) && kill -0 "$nspawn" 2>/dev/null; do
        # The container's first process is the one child, once it is systemd.
        init=$(cut -d ' ' -f 1 "/proc/$nspawn/task/$nspawn/children" 2>/dev/null) || init=''
        if [[ -n $init && $(cat "/proc/$init/comm" 2>/dev/null) == systemd ]]; then
            state=$(enter "$init" systemctl is-system-running --wait 2>/dev/null) || true
            [[ $state == running || $state == degraded ]] && break
        fi
        sleep 0.1
    done
    if [[ $state != running && $state != degraded ]]; then
        tail -n 30 "$work/console" >&2
        die "did not come up: ${state:-no answer}"
    fi
    echo "up $init"
    cat >/dev/null
}

# Becomes the container; in a mount namespace and a control group of its own.
contain() {
    set -e
    local root=$1 work=$2 groups=$3 group=$4
    echo $$ >"$group/cgroup.procs"
    mkdir "$work/mount"
    mount -t tmpfs -o mode=755 causeway-sandbox "$work/mount"
    mkdir "$work/mount/upper" "$work/mount/work" "$work/mount/root"
    mount -t overlay -o "lowerdir=$root,upperdir=$work/mount/upper,workdir=$work/mount/work" \
        causeway-sandbox "$work/mount/root"
    # Where older trees are mounted beside it, the container is to see the second version alone.
    if [[ $groups != /sys/fs/cgroup ]]; then
        umount --lazy --recursive /sys/fs/cgroup
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
    fi
    mount -t tmpfs -o mode=755 run /run
    exec systemd-nspawn --quiet --directory="$work/mount/root" --boot --register=no --keep-unit \
        --private-network --machine=sandbox --resolv-conf=off --timezone=off --link-journal=no \
        --system-call-filter=bpf --capability=CAP_BPF --console=pipe
}

# Ends every process of the container and removes what it left; runs however the boot ends.
clean() {
    local first
    trap - EXIT
    if [[ -n ${nspawn-} ]] && kill -0 "$nspawn" 2>/dev/null; then
        # With a namespace's first process go all of its processes, and nspawn follows.
        for first in $(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null); do
            kill -KILL "$first" 2>/dev/null || true
        done
        tenths "$end_tenths" gone "$nspawn" || kill -KILL "$nspawn" 2>/dev/null || true
    fi
    tenths "$end_tenths" emptied "$group" || echo "sandbox: $group is still in use" >&2
    rm -rf --one-file-system "$work"
}

# Whether a command comes true within so many tenths of a second.
tenths() {
    local left=$1
    shift
    until "$@"; do
        (( left-- > 0 )) || return 1
        sleep 0.1
    done
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

emptied() {
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [[ ! -d $1 ]]
}

enter() {
    local init=$1 tree
    shift
    # Into its first unit's group: the journal asks where a message comes from.
    tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
    echo "$BASHPID" >"$tree$(sed -n 's/^0:://p' "/proc/$init/cgroup")/cgroup.procs" 2>/dev/null || true
    exec nsenter -t "$init" -m -u -i -n -p -C -r -w -- env -i LANG=C.UTF-8 HOME=/root TERM=dumb \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

main "$@"
