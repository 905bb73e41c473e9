# Runs in the machine, as root, once it is up. What it prints is the test's: a word and a page's
# JSON a step.
set -u
# No udev runs here to make devices of the mapper.
export DM_DISABLE_UDEV=1
exec 2>/dev/console

# Version 8.2 in one release is another in the next.
unit=$(basename /lib/systemd/system/php*-fpm.service)
pool=$(echo /etc/php/*/fpm/pool.d/www.conf)
# A third disk, in sectors: the site's part of it, and one to swap to.
site_sectors=65536
swap_sectors=786432

main() {
    prepare
    at_boot
    killed
    throttled
    crowded
    stalled
    overloaded
    short_of_memory
    read_only
    echo end
}

prepare() {
    ip link set lo up
    sed -i 's,^listen = .*,listen = /run/php/fpm.sock,; s,^pm = .*,pm = ondemand,
        s,^pm.max_children = .*,pm.max_children = 64,' "$pool"
    chmod 755 /usr/sbin/causeway
    systemd-sysusers
    systemctl daemon-reload
    systemctl start causeway
}

# Asks HOST for a page until it says all of this, and prints the last: the look may be late on a
# machine as slow as this, and one of a moment ago is shown until the next.
until_said() {
    local word=$1 host=$2 path=$3 said tries part
    shift 3
    for tries in $(seq 40); do
        said=$(ask "$host" "$path")
        for part in "$@"; do
            [[ $said == *"$part"* ]] || continue 2
        done
        break
    done
    echo "$word $said"
}

ask() {
    curl -s -m 30 -H 'Accept: application/problem+json' -H "Host: $1" "http://127.0.0.1$2"
}

# The host is up, and nobody has started the service.
at_boot() {
    until_said at_boot any.test /eat.php '"root":"host_rebooted"'
}

killed() {
    limit MemoryMax=64M OOMPolicy=stop
    until_said killed any.test /eat.php '"root":"oom_killed"' '"value":"failed (failed)"'
    limit MemoryMax=64M OOMPolicy=continue
    until_said killed_worker any.test /eat.php '"root":"oom_killed"' '"value":"active (running)"'
}

# The unit may have a fifth of a processor.
throttled() {
    limit CPUQuota=20%
    until_said throttled throttled.test '/eat.php?mib=1' '"root":"cpu_throttled"' \
        '"root_certainty":"likely"'
}

# PHP-FPM and one worker, which is at work for good.
crowded() {
    limit TasksMax=2
    until_said crowded crowded.test '/eat.php?mib=1' '"root":"task_limit"'
    # None any more.
    limit
}

# Starts the service anew with these settings of its unit's.
limit() {
    mkdir -p "/etc/systemd/system/$unit.d"
    printf '%s\n' '[Service]' "$@" >"/etc/systemd/system/$unit.d/test.conf"
    systemctl daemon-reload
    systemctl restart "$unit"
}

# The disk with the site's pages takes requests, and answers none.
stalled() {
    dmsetup create site --table "0 $site_sectors linear /dev/vdc 0"
    mkfs.ext4 -q /dev/mapper/site
    mkdir -p /srv/site
    mount /dev/mapper/site /srv/site
    echo page >/srv/site/page
    # Nothing of it is in memory any more.
    umount /srv/site
    mount /dev/mapper/site /srv/site
    dmsetup suspend --nolockfs --noflush site
    until_said stalled stalled.test /read.php '"root":"storage_stalled"'
    dmsetup resume site
    umount /srv/site
    systemctl restart "$unit"
}

# More programs want to run than there are processors. In a group of their own, which leaves others
# their share.
overloaded() {
    systemd-run --quiet --unit=burn -p CPUWeight=10 \
        bash -c 'for i in {1..24}; do while :; do :; done & done; wait'
    until_said overloaded overloaded.test '/eat.php?mib=1' '"root":"overload"'
    systemctl kill --signal=KILL burn
    systemctl restart "$unit"
}

# A worker wants more memory than there is, and the kernel swaps.
short_of_memory() {
    local mib
    # The one who is to tell of it keeps what it runs on, or nothing here comes to an end.
    systemctl set-property --runtime system.slice MemoryMin=256M
    systemctl set-property --runtime causeway.service MemoryMin=192M
    dmsetup create swap --table "0 $swap_sectors linear /dev/vdc $site_sectors"
    mkswap -q /dev/mapper/swap
    swapon /dev/mapper/swap
    mib=$(awk '/^MemAvailable:/ { print int($2 / 1024) + 64 }' /proc/meminfo)
    ask any.test "/eat.php?mib=$mib" >/dev/null &
    until_said short short.test '/eat.php?mib=1' '"root":"memory_pressure"'
    systemctl kill --signal=KILL "$unit"
    systemctl restart "$unit"
}

# The kernel no longer writes to any disk, and a request's body is too long to be kept in memory.
read_only() {
    local said tries
    echo u >/proc/sysrq-trigger
    for tries in $(seq 40); do
        said=$(head -c 1000000 /dev/zero |
            curl -s -m 30 -T - -H 'Accept: application/problem+json' http://127.0.0.1/eat.php)
        [[ $said == *'"root":"disk_read_only"'* && $said == *', read-only"'* ]] && break
    done
    echo "read_only $said"
}

main
